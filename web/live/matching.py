"""Which observations a filter lets through."""

import re

from web.live.protocol import Filter
from web.live.records import LiveRecord


class Matcher:
    """A filter prepared for matching.

    Filters with equal `key` match the same records: their clients can share frames.
    """

    def __init__(self, wanted: Filter) -> None:
        self._subreddits = frozenset(name.lower() for name in wanted.subreddits)
        self._trending = wanted.trending
        self._min_score = wanted.min_score
        self._ids = frozenset(wanted.ids)
        keywords = frozenset(" ".join(keyword.casefold().split()) for keyword in wanted.keywords)
        self.key = (self._subreddits, self._trending, self._min_score, keywords, self._ids)
        # Whole words and phrases: "ai" is not in "said".
        alternatives = "|".join(sorted(map(re.escape, keywords), key=len, reverse=True))
        self._keywords = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if keywords else None

    def __call__(self, record: LiveRecord) -> bool:
        post = record.post
        return (
            (not self._ids or post.id in self._ids)
            and (not self._trending or post.is_trending)
            and (self._min_score is None or post.current_score >= self._min_score)
            and (not self._subreddits or record.subreddit in self._subreddits)
            and (self._keywords is None or self._keywords.search(record.words) is not None)
        )
