"""Reads table signals: pages of signals, one of them with its posts, and the numbers around it.

The table has no text of authors. What a signal is about is read from its posts, as they are stored now.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from signalflow.domain.signals.sentences import About, mostly_about
from signalflow.domain.signals.term_hash import term_hash
from signalflow.domain.words import SignalKind, SignalSubject
from signalflow.storage.read_router import ReadRouter, Row

SERIES_SPAN = timedelta(hours=24)
SERIES_STEP = timedelta(minutes=15)
# Posts are followed for two days, and no signal of a subreddit goes on for so long.
LONGEST_HOURS = 48
COLUMNS = (
    *("id", "kind", "rule_version", "subject_kind", "subject", "subreddit", "started_at", "peak_at", "ended_at"),
    *("changed_at", "strength", "observed", "expected", "post_ids", "inputs"),
)
# The record from which it follows.
SOURCE = ("source_topic", "source_partition", "source_offset")
_COLUMNS = ", ".join(COLUMNS)

_ONE = f"SELECT {_COLUMNS} FROM signals WHERE id = $1"  # noqa: S608, constants
_POSTS = """
SELECT id, subreddit, title, permalink, created_utc, current_score, current_comments, removed_by, not_shown_since
FROM posts WHERE id = ANY ($1::text[]) ORDER BY current_score DESC NULLS LAST, id
"""
_KEYWORDS = """
SELECT id, subreddit, keywords FROM posts LEFT JOIN post_nlp_features ON post_id = id WHERE id = ANY ($1::text[])
"""
# The last step ends at the end, so none is shown before it is over.
_NEW_POSTS = """
SELECT steps.at, count(p.id) AS value
FROM generate_series($2::timestamptz, $3::timestamptz - $4::interval, $4::interval) AS steps (at)
LEFT JOIN (
    SELECT id, date_bin($4::interval, created_utc, $2::timestamptz) AS at FROM posts
    WHERE lower(subreddit) = lower($1) AND created_utc >= $2 AND created_utc < $3
) AS p ON p.at = steps.at GROUP BY steps.at ORDER BY steps.at
"""
# The newest score of each step. A step of a young post is short, so that its line has as many points.
_SCORES = """
SELECT DISTINCT ON (date_bin($4::interval, observed_at, $2::timestamptz)) observed_at AS at, score AS value
FROM post_metrics_history
WHERE post_id = $1 AND observed_at >= $2 AND observed_at < $3 AND score IS NOT NULL
ORDER BY date_bin($4::interval, observed_at, $2::timestamptz), observed_at DESC
"""
_CREATED = "SELECT created_utc FROM posts WHERE id = $1"

# Start and id of the last signal of a page.
SignalKey = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """Which signals are wanted: those that meet every given condition; an empty list is none.

    Names of subreddits are case-insensitive. The start is from `since` until before `until`. `min_strength` means the
    same for signals of one kind alone. `subject`: a term, too, whose signals have its hash.
    """

    kinds: Sequence[SignalKind] = ()
    subreddits: Sequence[str] = ()
    subject: str | None = None
    active_only: bool = False
    since: datetime | None = None
    until: datetime | None = None
    min_strength: float | None = None


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A signal as it stands. `ended_at` is None while it goes on."""

    id: str
    kind: SignalKind
    rule_version: int
    subject_kind: SignalSubject
    subject: str
    subreddit: str | None
    started_at: datetime
    peak_at: datetime
    ended_at: datetime | None
    changed_at: datetime
    strength: float
    observed: float
    expected: float
    post_ids: list[str]
    inputs: dict[str, float | None]

    @property
    def key(self) -> SignalKey:
        """Its place in a list."""
        return self.started_at, self.id


async def signals_page(
    reads: ReadRouter, wanted: SignalFilter, *, before: SignalKey | None, limit: int
) -> list[StoredSignal]:
    """The newest signals, or the newest before this start and id."""
    statement, parameters = page_statement(wanted, before, limit)
    return [stored_signal(row) for row in await reads.fetch(statement, *parameters)]


def page_statement(wanted: SignalFilter, before: SignalKey | None, limit: int) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters."""
    parameters: list[Any] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    conditions = signal_conditions(wanted, bound)
    if before is not None:
        started_at, id_ = before
        conditions.append(f"(started_at, id) < ({bound(started_at)}::timestamptz, {bound(id_)}::text)")
    statement = f"""
SELECT {_COLUMNS} FROM signals WHERE {" AND ".join(conditions) or "true"}
ORDER BY started_at DESC, id DESC LIMIT {bound(limit)}"""  # noqa: S608, constants and the numbers of parameters
    return statement, parameters


def signal_conditions(wanted: SignalFilter, bound: Callable[[object], str]) -> list[str]:
    """The conditions on rows of the table: only those that are given, so that an index can serve them."""
    conditions: list[str] = []
    if wanted.kinds:
        conditions.append(f"kind = ANY ({bound(list(wanted.kinds))}::text[])")
    if wanted.subreddits:
        conditions.append(f"lower(subreddit) = ANY ({bound([name.lower() for name in wanted.subreddits])}::text[])")
    if wanted.subject is not None:
        conditions.append(f"subject = ANY ({bound([wanted.subject, term_hash(wanted.subject.lower())])}::text[])")
    if wanted.active_only:
        # Where nothing is observed any more, nothing tells the end.
        conditions.append(f"ended_at IS NULL AND started_at > now() - interval '{LONGEST_HOURS} hours'")
    if wanted.since is not None:
        conditions.append(f"started_at >= {bound(wanted.since)}")
    if wanted.until is not None:
        conditions.append(f"started_at < {bound(wanted.until)}")
    if wanted.min_strength is not None:
        conditions.append(f"strength >= {bound(wanted.min_strength)}")
    return conditions


async def one_signal(reads: ReadRouter, id_: str) -> StoredSignal | None:
    """The signal with this id, if there is one."""
    rows = await reads.fetch(_ONE, id_)
    return stored_signal(rows[0]) if rows else None


class Reads(Protocol):
    """What gives the rows of a statement: a router of reads, or a transaction."""

    async def fetch(self, statement: str, *parameters: Any) -> Sequence[Row]: ...


async def what_is_known(reads: Reads, signals: Sequence[StoredSignal]) -> dict[str, About]:
    """What each signal is about, by its id. Words of erased posts are gone."""
    rows = await reads.fetch(_KEYWORDS, sorted({id_ for signal in signals for id_ in signal.post_ids}))
    words: dict[str, list[str]] = {row["id"]: orjson.loads(row["keywords"] or "[]") for row in rows}
    subreddits: dict[str, str] = {row["id"]: row["subreddit"] for row in rows}
    return {signal.id: _about(signal, words, subreddits) for signal in signals}


def _about(signal: StoredSignal, words: Mapping[str, list[str]], subreddits: Mapping[str, str]) -> About:
    of_posts = [words.get(post, []) for post in signal.post_ids]
    keywords = mostly_about(of_posts)
    if signal.subject_kind != "term":
        return About(keywords)
    term = next((word for post in of_posts for word in post if term_hash(word) == signal.subject), None)
    places = Counter(subreddits[post] for post in signal.post_ids if post in subreddits).most_common(1)
    # A post that is not stored yet may have the term.
    is_erased = term is None and words.keys() >= set(signal.post_ids)
    return About(keywords, term, is_erased, places[0][0] if places else None)


async def posts_of(reads: ReadRouter, signal: StoredSignal) -> list[Row]:
    """The posts behind it that are stored, highest score first."""
    return await reads.fetch(_POSTS, signal.post_ids)


async def series_of(reads: ReadRouter, signal: StoredSignal, now: datetime) -> list[Row]:
    """The numbers around a signal, `at` and `value`, oldest first, 96 of SERIES_SPAN at most.

    Of a post its scores from its creation on. Of a subreddit its new posts in the SERIES_STEP that begins at `at`,
    until now or some hours after the signal. Of a term nothing is kept.
    """
    if signal.subject_kind == "term":
        return []
    if signal.subject_kind == "post":
        created = await reads.fetch(_CREATED, signal.subject)
        begin = created[0]["created_utc"] if created else signal.started_at
        end = max(min(now, begin + SERIES_SPAN), begin + timedelta(hours=1))
        return await reads.fetch(_SCORES, signal.subject, begin, end, (end - begin) / (SERIES_SPAN / SERIES_STEP))
    end = now if signal.ended_at is None else min(now, signal.ended_at + SERIES_SPAN / 8)
    return await reads.fetch(_NEW_POSTS, signal.subject, end - SERIES_SPAN, end, SERIES_STEP)


def stored_signal(row: Row) -> StoredSignal:
    """The signal of a row that has at least COLUMNS."""
    columns = {name: row[name] for name in COLUMNS}
    return StoredSignal(**(columns | {"inputs": orjson.loads(row["inputs"])}))
