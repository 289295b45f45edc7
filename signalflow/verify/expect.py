"""What the tables must hold after a log: every record in offset order, by the definitions alone.

Velocity is the difference to the newest earlier observation that the log had of the post before this record. An
observation that is older than that one is late and has no velocity. Backfilled posts have none, nor have posts that are
older than their state is kept, when they were observed or an hour before the log got the record.
An observation that lacks the score or the number of comments has none either, and counts for no other velocity.
Of an observation that says who took the post away, title, author, link, permalink, flair and body count as not there,
and what was observed of them until then is erased: for good where it says that the erasure was asked for.
The trend velocity (signalflow/verify/trend.py) is unknown for the same observations. The history keeps the first record
of each moment, of those with both numbers. Ranks (signalflow/verify/ranks.py) need no numbers. In `posts` author, title
and the like follow the newest observation. Score, ratio and what is computed with them follow the newest that told a
score. Comments, flags, flair and link follow the newest that told the number of comments, or else whether it is a text
post. The body follows the newest observation that carried it, and first_seen_at is the earliest moment. Of observations
at the same moment the first in the log counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from signalflow.kafka.reader import KafkaRecord
from signalflow.verify.contract import (
    BACKFILL,
    REDDIT_OPENED,
    REQUEST,
    Observed,
    attempt_of,
    is_copy,
    observed,
)
from signalflow.verify.figures import Rules, per_second, sentiment, sentiment_basis, trending
from signalflow.verify.json_checks import RefusedRecordError
from signalflow.verify.ranks import Ranks
from signalflow.verify.spool import HistoryRow, Spool
from signalflow.verify.trend import Trend

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
# A record that the log got this long after the end of a state's life does without the state.
_LATEST = timedelta(hours=1)
# A state may be removed once the log of its partition is this far past the end of its life.
_KEPT_LONGER = timedelta(hours=2)
# Retention may drop one more day while the topics are read.
_DROPPED_MEANWHILE = timedelta(days=1)
# When reading begins in the middle of a log, an observation this much later than that moment is newer than all that was
# not read.
CLOCKS_AGREE = timedelta(seconds=60)


class PostRow(NamedTuple):
    """One row of `posts`, under the names of its columns. `body` is a digest."""

    subreddit: str
    author: str | None
    title: str
    url: str | None
    permalink: str | None
    flair: str | None
    over_18: bool | None
    is_self: bool | None
    created_utc: datetime
    edited_at: datetime | None
    removed_by: str | None
    current_score: int | None
    current_comments: int | None
    current_ratio: float | None
    score_velocity: float | None
    comment_velocity: float | None
    trend_velocity: float | None
    trending_score: float
    is_trending: bool
    score_observed_at: datetime
    details_observed_at: datetime
    last_polled_at: datetime
    first_seen_at: datetime
    text_observed_at: datetime | None
    body: bytes | None
    erased_until: datetime | None
    velocity_known: bool
    trend_known: bool


# Fields of PostRow that are no columns: whether the log that was read tells the velocities.
OF_THE_LOG = ("velocity_known", "trend_known")
_OF_THE_NEWEST = ("subreddit", "author", "title", "permalink", "created_utc", "removed_by", "last_polled_at")
_OF_THE_SCORE = (
    "current_score", "current_ratio", "score_velocity", "comment_velocity", "trend_velocity", "trending_score",
    "is_trending", "score_observed_at",
)  # fmt: skip
_OF_THE_DETAILS = (
    "url", "flair", "over_18", "is_self", "edited_at", "current_comments", "details_observed_at",
)  # fmt: skip


class Velocities(NamedTuple):
    """Per second, None when unknown; and whether the log that was read makes each certain."""

    score: float | None = None
    comments: float | None = None
    trend: float | None = None
    known: bool = True
    trend_known: bool = True


@dataclass(slots=True)
class ExpectedState:
    """What one partition knows of a post, which velocities need."""

    newest: tuple[datetime, int, int] | None = None
    created: datetime | None = None
    uncertain: bool = False
    trend: Trend = field(default_factory=Trend)


@dataclass(slots=True)
class ExpectedPost:
    """A post: its row, earlier rows that it may have until newer records are stored, and its states by partition.

    A post has a state in more than one partition when partitions were added to the topic. `partition` had the
    observation first that the score is from.
    """

    row: PostRow | None = None
    partition: int = -1
    not_stored_yet: list[PostRow | None] = field(default_factory=list)
    states: dict[int, ExpectedState] = field(default_factory=dict)
    unsure: bool = False


class ExpectedLetter(NamedTuple):
    """A record of the raw topic that must be in the dead-letter topic. `due`: it must be there by now.

    `digest` is of key, value and headers, `contents` of key and value.
    """

    stage: str
    attempt: int
    digest: bytes
    contents: bytes
    due: bool


@dataclass
class Expected:
    """What the tables and the dead-letter topic must hold, computed from the records of the raw topic.

    `start`: the raw topic was read from this moment on; None means from its beginning.

    `may_be_refused`: valid records, as (partition, offset), that are rightly dead letters if the history had dropped
    their day before they were written.
    """

    posts: dict[str, ExpectedPost] = field(default_factory=dict)
    history: Spool = field(default_factory=Spool)
    ranks: Ranks = field(default_factory=Ranks)
    letters: dict[tuple[int, int], ExpectedLetter] = field(default_factory=dict)
    may_be_refused: set[tuple[int, int]] = field(default_factory=set)
    records: int = 0
    records_due: int = 0
    start: datetime | None = None
    seen_offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    def close(self) -> None:
        """Remove temporary files."""
        self.history.close()
        self.ranks.close()


@dataclass(frozen=True)
class Scope:
    """How far the pipeline has come when the tables are read, by raw partition (None: all records).

    `stored`: records below this offset must be in the tables. `enriched`: records below it have been processed, and the
    invalid ones must be in the dead-letter topic. `written`: those that the tables refuse must be there as well. It may
    be behind `stored`, because the sink sends their letters after it has written the other rows. `counted`: records
    below it are checked; later ones only explain rows that are there already. `start`: see Expected. `set_aside`: valid
    records that are dead letters nevertheless, as (partition, offset) -> stage. `history_from`: the history has dropped
    its days before this one (None: no day).
    """

    stored: Mapping[int, int] | None = None
    enriched: Mapping[int, int] | None = None
    written: Mapping[int, int] | None = None
    counted: Mapping[int, int] | None = None
    start: datetime | None = None
    set_aside: Mapping[tuple[int, int], str] = field(default_factory=dict)
    history_from: datetime | None = None


EVERYTHING = Scope()


def expected(
    records: Iterable[KafkaRecord],
    rules: Rules = Rules(),  # noqa: B008, frozen
    scope: Scope = EVERYTHING,
) -> Expected:
    """What the tables must hold after these records of the raw topic. Each partition's records come in offset order."""
    oracle = Oracle(rules, scope)
    for record in records:
        oracle.take(record)
    return oracle.expected


def digest(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """A fingerprint of a record's key, value and headers."""
    return blake2b(
        repr((key, value, [(n, bytes(v or b"")) for n, v in headers or ()])).encode(), digest_size=16
    ).digest()


def text_digest(text: str | None) -> bytes | None:
    """A fingerprint of a body."""
    return None if text is None else blake2b(text.encode(), digest_size=16).digest()


class Oracle:
    """Takes records one by one. Each partition's records come in offset order."""

    def __init__(self, rules: Rules, scope: Scope) -> None:
        self._rules, self._scope = rules, scope
        self._lifetime = timedelta(hours=rules.state_hours)
        self._most_ahead = timedelta(minutes=rules.ahead_minutes)
        self._window = timedelta(seconds=rules.trend_window)
        self._certain_after = None if scope.start is None else scope.start + CLOCKS_AGREE
        self._reached: dict[int, datetime] = {}
        self.expected = Expected(start=scope.start)

    def take(self, record: KafkaRecord) -> None:
        """Take one record."""
        out, partition, offset = self.expected, record.partition, record.offset
        out.records += 1
        first, _ = out.seen_offsets.get(partition, (offset, 0))
        out.seen_offsets[partition] = (first, offset + 1)
        counted = below(self._scope.counted, partition, offset)
        stored = below(self._scope.stored, partition, offset)
        out.records_due += stored and counted
        try:
            seen = observed(record, self._most_ahead)
            if _leaves_history(seen) and seen.observed_at < REDDIT_OPENED:
                raise RefusedRecordError("metadata.observed_at", "before there was Reddit", "write")
        except RefusedRecordError as refused:
            scope = self._scope.written if refused.stage == "write" else self._scope.enriched
            out.letters[partition, offset] = ExpectedLetter(
                refused.stage,
                attempt_of(record.headers),
                digest(record.key, record.value, record.headers),
                digest(record.key, record.value, ()),
                below(scope, partition, offset) and counted,
            )
            return
        if is_copy(record.headers):
            # Where the log no longer has the first record, the copy looks late, and the row has its velocities.
            return
        if self._was_dropped(seen):
            out.may_be_refused.add((partition, offset))
        stage = self._scope.set_aside.get((partition, offset))
        if stage not in ("enrich", "validate"):
            self._take(record, seen, stored, counted, stored_at_all=stage is None)

    def _was_dropped(self, seen: Observed) -> bool:
        """Whether the history may have dropped the observation's day by now."""
        first = self._scope.history_from
        return first is not None and _leaves_history(seen) and seen.observed_at < first + _DROPPED_MEANWHILE

    def _take(self, record: KafkaRecord, seen: Observed, stored: bool, counted: bool, *, stored_at_all: bool) -> None:
        post = self.expected.posts.get(seen.id)
        if post is None:
            post = self.expected.posts[seen.id] = ExpectedPost()
        velocities = self._velocities(record, seen, post)
        if _leaves_history(seen):
            assert seen.score is not None
            assert seen.num_comments is not None
            self.expected.history.add(
                HistoryRow(
                    seen.id, seen.observed_at, seen.score, seen.num_comments, seen.upvote_ratio,
                    velocities.score, velocities.comments, velocities.trend,
                    stored and counted and stored_at_all, velocities.known, velocities.trend_known, record.partition,
                )
            )  # fmt: skip
        if seen.rank is not None and seen.listing is not None and seen.mode != BACKFILL:
            key = seen.id, seen.observed_at, seen.post_sort, seen.listing
            self.expected.ranks.add(key, seen.rank, record.partition, due=stored and counted and stored_at_all)
        if not stored_at_all:
            # It is a dead letter, and may have been replayed since: its post may show it or not.
            post.unsure = True
        row = self._row(post.row, seen, velocities)
        if post.row is None or _gives_score(seen, post.row):
            post.partition = record.partition
        elif row.score_observed_at == seen.observed_at and record.partition != post.partition:
            # Partitions have no common order: the velocities of either record may have been stored.
            row = row._replace(velocity_known=False, trend_known=False)
        if not stored and row != post.row:
            post.not_stored_yet.append(post.row)
        post.row = row

    def _velocities(self, record: KafkaRecord, seen: Observed, post: ExpectedPost) -> Velocities:
        appended = _BEGIN + timedelta(milliseconds=record.timestamp)
        if not _leaves_history(seen) or seen.created_utc + self._lifetime <= max(seen.observed_at, appended - _LATEST):
            return Velocities()
        assert seen.score is not None
        assert seen.num_comments is not None
        reached = self._reached.get(record.partition, _BEGIN)
        state = post.states.setdefault(record.partition, ExpectedState())
        if state.created is not None and state.created + self._lifetime + _KEPT_LONGER <= reached:
            # The log goes back in time by more than an hour. Whether the state was removed before depends on a timer.
            state.uncertain = True
        state.created = min(state.created or seen.created_utc, seen.created_utc)
        before, state.newest = state.newest, (seen.observed_at, seen.score, seen.num_comments)
        known = not state.uncertain and (
            self._certain_after is None or (before is not None and before[0] > self._certain_after)
        )
        if before is not None and before[0] >= seen.observed_at:
            state.newest = before
            velocities = Velocities(known=known, trend_known=known)
        else:
            trend, trend_known = state.trend.take(
                seen.observed_at, seen.score, seen.created_utc, self._window, self._certain_after
            )
            velocities = Velocities(
                score=before and per_second(before[1], seen.score, before[0], seen.observed_at),
                comments=before and per_second(before[2], seen.num_comments, before[0], seen.observed_at),
                trend=trend,
                known=known,
                trend_known=trend_known and not state.uncertain,
            )
        self._reached[record.partition] = max(reached, min(state.newest[0], appended))
        return velocities

    def _row(self, old: PostRow | None, seen: Observed, velocities: Velocities) -> PostRow:
        at = seen.observed_at
        basis = sentiment_basis(seen.title, self._rules.fold_apostrophes)
        compound, _ = sentiment(seen.title, basis)
        trend, is_trending = trending(self._rules, velocities.trend, compound, seen.num_comments)
        if seen.removed_by:
            seen = replace(
                seen, title="", author=None, url=None, permalink=None, flair=None, body=None, body_given=True
            )
        row = new = PostRow(
            seen.subreddit, seen.author, seen.title, seen.url, seen.permalink, seen.flair, seen.over_18,
            seen.is_self, seen.created_utc, seen.edited_at, seen.removed_by,
            seen.score, seen.num_comments,
            seen.upvote_ratio,
            velocities.score, velocities.comments, velocities.trend, trend, is_trending, at, at, at, at, None, None,
            None,
            velocities.known, velocities.trend_known,
        )  # fmt: skip
        if old is not None:
            row = old._replace(first_seen_at=min(old.first_seen_at, at))
            if at > old.last_polled_at:
                row = _with(row, new, _OF_THE_NEWEST)
            if _gives_score(seen, old):
                row = _with(row, new, _OF_THE_SCORE + OF_THE_LOG)
            if _gives_details(seen, old):
                row = _with(row, new, _OF_THE_DETAILS)
        if seen.body_given and (row.text_observed_at is None or at > row.text_observed_at):
            row = row._replace(text_observed_at=at, body=text_digest(seen.body))
        if seen.removed_by:
            until = ASKED_FOR if seen.removed_by == REQUEST else at
            row = row._replace(erased_until=max(until, row.erased_until or until))
        return row


# What is erased, and the column that says when it was observed.
_ERASED = {
    "title": "last_polled_at",
    "author": "last_polled_at",
    "permalink": "last_polled_at",
    "url": "details_observed_at",
    "flair": "details_observed_at",
    "body": "text_observed_at",
}
# Stands for PostgreSQL's infinity: somebody asked for the erasure.
ASKED_FOR = datetime.max.replace(tzinfo=UTC)


def is_erased(found: Mapping[str, Any]) -> bool:
    """Whether a row holds no title any more."""
    return found["erased_until"] is not None and bool(found["last_polled_at"] <= found["erased_until"])


def _without_erased(row: PostRow, until: datetime) -> PostRow:
    """The row without what was observed until a moment."""
    moments = {name: getattr(row, moment) for name, moment in _ERASED.items()}
    gone = {name for name, moment in moments.items() if moment is not None and moment <= until}
    empty: dict[str, Any] = {name: "" if name == "title" else None for name in gone}
    return row._replace(**empty)


def _leaves_history(seen: Observed) -> bool:
    return seen.mode != BACKFILL and seen.score is not None and seen.num_comments is not None


def _gives_score(seen: Observed, row: PostRow) -> bool:
    """Whether the observation gives the post its score and what is computed with it."""
    if (seen.score is None) != (row.current_score is None):
        return seen.score is not None
    return seen.observed_at > row.score_observed_at


def _gives_details(seen: Observed, row: PostRow) -> bool:
    """Whether the observation gives the post its number of comments, flags, flair and link."""
    if (seen.num_comments is None) != (row.current_comments is None):
        return seen.num_comments is not None
    if (seen.is_self is None) != (row.is_self is None):
        return seen.is_self is not None
    return seen.observed_at > row.details_observed_at


def _with(row: PostRow, other: PostRow, names: Iterable[str]) -> PostRow:
    return row._replace(**{name: getattr(other, name) for name in names})


def below(ends: Mapping[int, int] | None, partition: int, offset: int) -> bool:
    """Whether an offset is below the end of its partition. None: all are."""
    return ends is None or offset < ends.get(partition, 0)


def possible_rows(post: ExpectedPost) -> Iterator[PostRow | None]:
    """The rows that a post may have, newest first. None: it may not be stored yet."""
    yield post.row
    yield from reversed(post.not_stored_yet)


def columns_that_differ(row: PostRow, found: Mapping[str, Any], certain_after: datetime | None) -> list[str]:
    """Names of the columns whose value is wrong. What the log that was read cannot tell is not compared."""
    differ = []
    not_told = _not_told(row, found, certain_after)
    until = found["erased_until"]
    if until == ASKED_FOR or (certain_after is not None and until is not None and until <= certain_after):
        # The log that was read does not tell it.
        row = row._replace(erased_until=until)
    elif until is None and row.erased_until is not None and not row.removed_by:
        # Versions before revision 0025 did not note it, and the post is back.
        row = row._replace(erased_until=None)
    if row.erased_until is not None:
        row = _without_erased(row, row.erased_until)
    wanted: Any
    for name, wanted in zip(PostRow._fields[: -len(OF_THE_LOG)], row, strict=False):
        value = text_digest(found["body"]) if name == "body" else found[name]
        if value is None and name in ("score_observed_at", "details_observed_at"):
            value = found["last_polled_at"]
        if name == "first_seen_at":
            same = value == wanted or (certain_after is not None and value < wanted)
        elif name in ("text_observed_at", "body"):
            told = certain_after is None or (row.text_observed_at is not None and row.text_observed_at > certain_after)
            same = not told or value == wanted
        elif name in not_told:
            same = True
        else:
            same = same_number(value, wanted)
        if not same:
            differ.append(name)
    return differ


def _not_told(row: PostRow, found: Mapping[str, Any], certain_after: datetime | None) -> set[str]:
    """Columns of which the log that was read does not tell the value."""
    at = row.last_polled_at
    if certain_after is not None and found["last_polled_at"] > at and at <= certain_after:
        return set(PostRow._fields)
    names = set[str]()
    if not row.velocity_known:
        names |= _FROM_VELOCITY
    if not row.trend_known:
        names |= _FROM_TREND
    for told, unknown in (
        (_OF_THE_SCORE, row.current_score is None),
        (_OF_THE_DETAILS, row.current_comments is None or row.is_self is None),
    ):
        expected_at, found_at = getattr(row, told[-1]), found[told[-1]] or found["last_polled_at"]
        # An observation from before the log that was read may have told more, or told it later.
        if certain_after is not None and (unknown or found_at > expected_at <= certain_after):
            names.update(told)
    if row.score_observed_at < row.details_observed_at == at and found["score_observed_at"] is None:
        # Versions before revision 0016 gave a post everything that a newer file told, and without a score null for what
        # is computed with it.
        names.update(_OF_THE_SCORE)
    return names


_FROM_VELOCITY = frozenset({"score_velocity", "comment_velocity"})
_FROM_TREND = frozenset({"trend_velocity", "trending_score", "is_trending"})
_TOLERANCE = 1e-9


def same_number(found: Any, wanted: Any) -> bool:
    """Whether two values are equal; floats are compared to nine digits."""
    if isinstance(wanted, float) and isinstance(found, float):
        return abs(found - wanted) <= _TOLERANCE * max(1.0, abs(wanted))
    return bool(found == wanted)
