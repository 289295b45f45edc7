"""Coverage of subreddits over a window, from the polls, the gap ledger and the posts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from signalflow.domain.coverage import Cell, Followed, Span, Stretch, Timeline, UnprovenGap, cell_of
from signalflow.storage.read_router import ReadRouter, Row
from signalflow.storage.subreddits import BY_NAME

Step = Literal["hour", "day"]
STEPS: dict[Step, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
# The newest time is not judged: its posts may be visible only now, and polls are reported now and then.
SETTLING = timedelta(minutes=5)
# States of a subreddit in which Reddit shows it, as far as is known.
_SHOWN = ("ok", "unchecked")

# A first look back that was read to its end covers its time, and one that was not covers what it was read of.
_FOLLOWED = f"""
WITH read_back AS (
    SELECT key, min(CASE WHEN outcome = 'proven' THEN since ELSE until + interval '1 second' END) AS since
    FROM listing_gaps, unnest(subreddits) AS key WHERE kind = 'first_look' GROUP BY key
)
SELECT c.name, paused OR removed_at IS NOT NULL AS paused, state, checked_at, last_polled_at,
    LEAST(polled_since, CASE WHEN polled_since IS NOT NULL THEN read_back.since END) AS polled_since
FROM subreddit_config AS c LEFT JOIN read_back ON read_back.key = lower(c.name)
WHERE CASE WHEN cardinality($1::text[]) = 0 THEN removed_at IS NULL ELSE lower(name) = ANY ($1) END {BY_NAME}
"""  # noqa: S608
_UNPROVEN = """
SELECT id, subreddits, since, until, opened_at, closed_at, outcome, pages FROM listing_gaps
WHERE kind = 'posts' AND (closed_at IS NULL OR outcome IN ('given_up', 'unreachable'))
    AND since < $2 AND COALESCE(until, closed_at, $2) >= $1
ORDER BY id
"""
# Posts of the time that is known alone. Of other time nobody knows which share they are.
_POSTS = """
SELECT k.name, date_trunc($6, p.created_utc, 'UTC') AS bucket, count(*) AS posts
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS k (name, since, until), posts AS p
WHERE lower(p.subreddit) = k.name AND p.created_utc >= GREATEST(k.since, $4) AND p.created_utc < LEAST(k.until, $5)
GROUP BY 1, 2
"""
_POSTS_IN = """
SELECT counted.posts FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY
    AS s (name, since, until, place),
    LATERAL (
        SELECT count(*) AS posts FROM posts AS p
        WHERE lower(p.subreddit) = s.name AND p.created_utc >= s.since AND p.created_utc < s.until
    ) AS counted
ORDER BY s.place
"""


@dataclass(frozen=True, slots=True)
class SubredditCoverage:
    """The coverage of one subreddit: of the window, and of each of its parts in order; and the gaps behind it."""

    subreddit: str
    paused: bool
    state: str
    polled_since: datetime | None
    last_polled_at: datetime | None
    total: Cell
    cells: list[Cell]
    gaps: list[UnprovenGap]

    def document(self, now: float) -> dict[str, Any]:
        """The coverage as the API gives it."""
        return {
            "subreddit": self.subreddit,
            "state": self.state,
            "paused": self.paused,
            "polled_since": self.polled_since,
            "last_polled_at": self.last_polled_at,
            **_shares(self.total),
            "cells": [_shares(cell) for cell in self.cells],
            "gaps": [
                {
                    "id": gap.record,
                    "since": _moment(gap.since),
                    "until": _moment(gap.span(now)[1]),
                    "pages": gap.pages,
                    "state": gap.outcome or "open",
                }
                for gap in self.gaps
            ],
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """The window that was judged, where its parts begin, and the subreddits by name."""

    computed_at: datetime
    start: datetime
    end: datetime
    step: Step
    starts: list[datetime]
    items: list[SubredditCoverage]

    def document(self) -> dict[str, Any]:
        """The coverage as the API gives it."""
        return {
            "computed_at": self.computed_at,
            "start": self.start,
            "end": self.end,
            "step": self.step,
            "starts": self.starts,
            "items": [item.document(self.computed_at.timestamp()) for item in self.items],
        }


async def coverage(
    reads: ReadRouter, start: datetime, end: datetime, *, step: Step, names: Sequence[str], now: datetime
) -> Coverage:
    """Coverage from the hour or day of `start` on, of the named subreddits or of all that are configured."""
    parts = parts_of(start, min(end, now - SETTLING), step)
    if not parts:
        return Coverage(now, start, start, step, [], [])
    begin, until = parts[0][0], parts[-1][1]
    rows = await reads.fetch(_FOLLOWED, [name.lower() for name in names])
    gaps = await _unproven(reads, (begin, until))
    followed = [_followed(row) for row in rows]
    timelines = [Timeline.of(one, gaps, now.timestamp()) for one in followed]
    posts = await _posts(reads, followed, (begin, until), step)
    missing = await _missing(reads, followed, timelines)
    items = []
    for row, one, timeline, estimates in zip(rows, followed, timelines, missing, strict=True):
        cells = [cell_of(timeline, part, posts[one.name, part[0]], estimates) for part in parts]
        items.append(
            SubredditCoverage(
                subreddit=row["name"],
                paused=row["paused"],
                state=row["state"],
                polled_since=row["polled_since"],
                last_polled_at=row["last_polled_at"],
                total=sum(cells[1:], cells[0]),
                cells=cells,
                gaps=[gap for gap in gaps if one.name in gap.subreddits],
            )
        )
    return Coverage(now, _moment(begin), _moment(until), step, [_moment(part[0]) for part in parts], items)


async def time_covered(reads: ReadRouter, start: datetime, end: datetime, *, now: datetime) -> Cell | None:
    """The covered, missing and unknown time of a window, added up over the polled subreddits; None without one.

    Counts no posts, so it may be asked often. The newest time is not judged.
    """
    part = (start.timestamp(), min(end, now - SETTLING).timestamp())
    rows = [row for row in await reads.fetch(_FOLLOWED, []) if not row["paused"]]
    gaps = await _unproven(reads, part)
    timelines = [Timeline.of(_followed(row), gaps, now.timestamp()) for row in rows]
    cells = [cell_of(timeline, part, 0, [None] * len(timeline.stretches)) for timeline in timelines]
    return sum(cells[1:], cells[0]) if cells else None


def parts_of(start: datetime, end: datetime, step: Step) -> list[Span]:
    """The hours or days, in UTC, from the one of `start` on. The last one ends at `end`."""
    at = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if step == "day":
        at = at.replace(hour=0)
    parts = []
    while at < end:
        parts.append((at.timestamp(), min(at + STEPS[step], end).timestamp()))
        at += STEPS[step]
    return parts


def _followed(row: Row) -> Followed:
    return Followed(
        row["name"].lower(),
        _epoch(row["polled_since"]),
        _epoch(row["last_polled_at"]),
        None if row["state"] in _SHOWN else _epoch(row["checked_at"]),
    )


async def _unproven(reads: ReadRouter, window: Span) -> list[UnprovenGap]:
    """The gaps in which posts of the window may be missing, oldest first."""
    return [
        UnprovenGap(
            row["id"],
            tuple(name.lower() for name in row["subreddits"]),
            row["since"].timestamp(),
            _epoch(row["until"]),
            row["opened_at"].timestamp(),
            _epoch(row["closed_at"]),
            row["outcome"],
            row["pages"],
        )
        for row in await reads.fetch(_UNPROVEN, _moment(window[0]), _moment(window[1]))
    ]


async def _posts(
    reads: ReadRouter, followed: Sequence[Followed], window: Span, step: Step
) -> defaultdict[tuple[str, float], int]:
    """The posts of the known time, by subreddit and begin of the hour or day."""
    polled = [one for one in followed if one.known[0] < one.known[1]]
    rows = await reads.fetch(
        _POSTS,
        [one.name for one in polled],
        [_moment(one.known[0]) for one in polled],
        [_moment(one.known[1]) for one in polled],
        _moment(window[0]),
        _moment(window[1]),
        step,
    )
    return defaultdict(int, {(row["name"], row["bucket"].timestamp()): row["posts"] for row in rows})


async def _missing(
    reads: ReadRouter, followed: Sequence[Followed], timelines: Sequence[Timeline]
) -> list[list[float | None]]:
    """By subreddit, for each of its stretches, how many posts are missing by an estimate."""
    asked = [
        (one.name, span)
        for one, timeline in zip(followed, timelines, strict=True)
        for stretch in timeline.stretches
        for span in (stretch.span, *stretch.sides[0], *stretch.sides[1])
    ]
    rows = await reads.fetch(
        _POSTS_IN,
        [name for name, _ in asked],
        [_moment(span[0]) for _, span in asked],
        [_moment(span[1]) for _, span in asked],
    )
    counts = iter([row["posts"] for row in rows])

    def missing(stretch: Stretch) -> float | None:
        seen = next(counts)
        before, after = (sum(next(counts) for _ in side) for side in stretch.sides)
        return stretch.missing(seen, (before, after))

    return [[missing(stretch) for stretch in timeline.stretches] for timeline in timelines]


def _shares(cell: Cell) -> dict[str, object]:
    parts = {"covered": cell.covered, "missing": cell.missing, "unknown": cell.unknown}
    shares: dict[str, object] = {name: round(part / cell.seconds, 4) for name, part in parts.items()}
    return shares | {"posts": cell.posts, "posts_share": _rounded(cell.posts_share)}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)


def _epoch(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
