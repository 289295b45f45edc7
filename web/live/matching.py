"""Which observations a filter lets through."""

import re

from signalflow.domain.subreddits import account_name
from web.live.protocol import Filter
from web.live.queries import PreparedQuery
from web.live.records import PostRecord


class Matcher:
    """A filter prepared for matching.

    Filters with equal `key` match the same records: their clients can share frames.
    """

    def __init__(self, wanted: Filter) -> None:
        keywords = frozenset(" ".join(keyword.casefold().split()) for keyword in wanted.keyword)
        self._wanted = wanted
        self._subreddits = frozenset(name.lower() for name in wanted.subreddit)
        self._author = wanted.author and account_name(wanted.author).lower()
        self._ids = frozenset(wanted.id)
        self._query = PreparedQuery(wanted.q)
        self.key = (
            *(self._subreddits, self._author, keywords, self._ids),
            *(wanted.min_score, wanted.trending, wanted.over_18, wanted.min_sentiment, wanted.max_sentiment),
            *(wanted.created_from, wanted.created_to, wanted.shown),
            *self._query.key,
        )
        # Whole words and phrases: "ai" is not in "said".
        alternatives = "|".join(sorted(map(re.escape, keywords), key=len, reverse=True))
        self._keywords = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if keywords else None

    def __call__(self, record: PostRecord) -> bool:
        post, wanted = record.post, self._wanted
        if record.is_removal:
            return self._may_have_been_sent(record)
        return (
            (not self._ids or post.id in self._ids)
            # Reddit shows what is observed.
            and wanted.shown is not False
            and (wanted.trending is None or post.is_trending == wanted.trending)
            and (wanted.over_18 is None or post.over_18 == wanted.over_18)
            and self._has_score(post.current_score)
            and (not self._subreddits or record.subreddit in self._subreddits)
            and (self._author is None or (post.author or "").lower() == self._author)
            and self._has_sentiment(post.nlp.sentiment_score)
            and (wanted.created_from is None or post.created_utc >= wanted.created_from)
            and (wanted.created_to is None or post.created_utc < wanted.created_to)
            and (self._keywords is None or self._keywords.search(record.words) is not None)
            and self._query.is_met(record)
        )

    def _may_have_been_sent(self, record: PostRecord) -> bool:
        """Whether the filter may have let an earlier observation of the post through, which had a title and author."""
        post, wanted = record.post, self._wanted
        return (
            (not self._ids or post.id in self._ids)
            and wanted.shown is not False
            and (not self._subreddits or record.subreddit in self._subreddits)
            and (wanted.created_from is None or post.created_utc >= wanted.created_from)
            and (wanted.created_to is None or post.created_utc < wanted.created_to)
        )

    def _has_score(self, score: int | None) -> bool:
        """Whether a score is as high as wanted. An unknown one is not."""
        least = self._wanted.min_score
        return least is None or (score is not None and score >= least)

    def _has_sentiment(self, score: float | None) -> bool:
        """Whether a score is in the wanted range. A title whose sentiment is unknown is in no range."""
        least, most = self._wanted.min_sentiment, self._wanted.max_sentiment
        if score is None:
            return least is None and most is None
        return (least is None or score >= least) and (most is None or score <= most)
