"""What a day was about: one answer that people read in a minute, from the statistics, the signals and the coverage."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson

from signalflow.domain.signals.sentences import words_of
from signalflow.storage.coverage import time_covered
from signalflow.storage.post_filters import Filters
from signalflow.storage.read_router import ReadRouter
from signalflow.storage.signals import COLUMNS, StoredSignal, stored_signal, what_is_known
from signalflow.storage.stats import keyword_counts, stats

DAY = timedelta(days=1)
MOST_OF_A_KIND = 5
MOST_UPVOTED = 10
MOST_COMMENTED = 5
MOST_SUBREDDITS = 10
MOST_KEYWORDS = 15

# Of posts that take off those that went farthest, of all else what was most unusual. A post is told once: that it took
# off says more than that it was unusual.
_STRONGEST = f"""
SELECT * FROM (
    SELECT *, row_number() OVER (
        PARTITION BY kind, subject_kind ORDER BY CASE kind WHEN 'viral' THEN observed ELSE strength END DESC, id
    ) AS place
    FROM (
        SELECT DISTINCT ON (subject_kind, subject) {", ".join(COLUMNS)} FROM signals
        WHERE started_at >= $1 AND started_at < $2
        ORDER BY subject_kind, subject, kind = 'viral' DESC, strength DESC
    ) AS told
) AS placed WHERE place <= $3 ORDER BY kind = 'burst' DESC, subject_kind = 'subreddit' DESC, kind = 'viral' DESC, place
"""  # noqa: S608, names of columns
_COUNTS = "SELECT kind, count(*) AS signals FROM signals WHERE started_at >= $1 AND started_at < $2 GROUP BY kind"
_SUBREDDITS = """
SELECT min(subreddit) AS subreddit, count(*) FILTER (WHERE created_utc >= $1) AS posts,
    count(*) FILTER (WHERE created_utc < $1) AS posts_before
FROM posts WHERE created_utc >= $1 - interval '1 day' AND created_utc < $2
GROUP BY lower(subreddit) ORDER BY posts DESC, lower(subreddit)
"""


def bounds_of(day: date) -> tuple[datetime, datetime]:
    """Begin and end of a day in UTC."""
    start = datetime.combine(day, time(), UTC)
    return start, start + DAY


async def digest(reads: ReadRouter, day: date, now: datetime) -> dict[str, Any]:
    """The digest of a day in UTC (web/api/digest/schemas.py). Of a day that goes on, what is known of it."""
    start, end = bounds_of(day)
    told = orjson.loads(await stats(reads, start, end, Filters(), now))
    keywords, _ = await keyword_counts(reads, start, end, Filters(), MOST_KEYWORDS)
    subreddits = await reads.fetch(_SUBREDDITS, start, end)
    signals = [stored_signal(row) for row in await reads.fetch(_STRONGEST, start, end, MOST_OF_A_KIND)]
    counts = {row["kind"]: row["signals"] for row in await reads.fetch(_COUNTS, start, end)}
    covered = await time_covered(reads, start, end, now=now)
    return {
        "day": day.isoformat(),
        "start": start,
        "end": end,
        "computed_at": now,
        "posts": told["overview"]["posts"],
        "posts_before": sum(row["posts_before"] for row in subreddits),
        "authors": told["overview"]["authors"],
        "average_sentiment": told["overview"]["average_sentiment"],
        "covered": None if covered is None or not covered.seconds else covered.covered / covered.seconds,
        "signals": {"viral": 0, "unusual_here": 0, "burst": 0} | counts,
        "strongest": await _in_words(reads, signals),
        "most_upvoted": told["most_upvoted"][:MOST_UPVOTED],
        "most_commented": told["most_commented"][:MOST_COMMENTED],
        "subreddits": [dict(row) for row in subreddits if row["posts"]][:MOST_SUBREDDITS],
        "keywords": [
            {name: keyword[name] for name in ("keyword", "posts", "posts_before", "subreddits")} for keyword in keywords
        ],
    }


async def _in_words(reads: ReadRouter, signals: Sequence[StoredSignal]) -> list[dict[str, Any]]:
    about = await what_is_known(reads, signals)
    return [
        {
            "id": signal.id,
            "kind": signal.kind,
            "subject_kind": signal.subject_kind,
            "subject": signal.subject,
            "subreddit": signal.subreddit,
            "started_at": signal.started_at,
            "ended_at": signal.ended_at,
            "keywords": about[signal.id].keywords,
            "term": about[signal.id].term,
            **words_of(signal, about[signal.id]),
        }
        for signal in signals
    ]
