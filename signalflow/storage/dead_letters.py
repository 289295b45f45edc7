"""Table dlq_events: dead letters are stored, listed, counted and resolved.

Their replay is in dead_letter_replays.py.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from signalflow.clock import utcnow
from signalflow.domain.words import LetterState
from signalflow.errors import Invalid
from signalflow.events import DeadLetter, storable
from signalflow.storage import audit
from signalflow.storage.pool import Pool, connection, transaction
from signalflow.storage.positions import Advances, advance

# `replayed`: the record was sent back to its topic. `dead_again`: after that it failed again, and `next_id` is the id
# of the new letter.

# A new letter is linked to the letter of the attempt before it if its headers carry that letter's id and replay token.
# Nobody can guess the token, so a forged header links nothing. A replay that dies before it records what it sent may
# send the same record twice. If both copies fail, only the first new letter is stored.
_STORE = """
INSERT INTO dlq_events (
    topic_id, source_topic, source_partition, source_offset, attempt, original_key, original_value, original_headers,
    stage, error_type, error, worker, failed_at, whole, previous_id
)
SELECT i.topic_id, i.topic, i.partition, i."offset", COALESCE(p.attempt + 1, i.attempt), i.key, i.value, i.headers,
    i.stage, i.error_type, i.error, i.worker, i.failed_at, i.whole, p.id
FROM unnest(
    $1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::int[], $6::bytea[], $7::bytea[], $8::jsonb[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::bool[], $15::bigint[], $16::uuid[]
) WITH ORDINALITY AS i (
    topic_id, topic, partition, "offset", attempt, key, value, headers,
    stage, error_type, error, worker, failed_at, whole, previous_id, token, place
)
LEFT JOIN dlq_events AS p ON p.id = i.previous_id AND p.replay_token = i.token
ORDER BY i.place
ON CONFLICT DO NOTHING
RETURNING previous_id
"""
# Marks letters as replayed because their records failed again. This also corrects letters whose replay died before it
# recorded what it sent. A letter that an operator has resolved stays resolved.
_FAILED_AGAIN = """
UPDATE dlq_events SET state = 'replayed', replayed_at = COALESCE(replayed_at, $2),
    watch_topic = NULL, watch_partition = NULL, watch_offset = NULL, resolved_at = NULL, resolution = NULL
WHERE id = ANY ($1::bigint[]) AND (state <> 'resolved' OR resolved_by IS NULL)
"""
# The letters that count for the limit. Replayed letters and resolved letters do not count.
_OPEN_OFFSETS = """
SELECT source_offset FROM dlq_events
WHERE topic_id = $1 AND source_partition = $2 AND source_offset >= $3 AND source_offset < $4
    AND attempt = 1 AND state = 'dead'
"""
_IS_STORED = """
SELECT EXISTS (SELECT FROM dlq_events WHERE topic_id = $1 AND source_partition = $2 AND source_offset = $3)
"""
_SHOWN_STATE = "CASE WHEN d.state = 'replayed' AND n.id IS NOT NULL THEN 'dead_again' ELSE d.state END"
_FROM = "FROM dlq_events AS d LEFT JOIN dlq_events AS n ON n.previous_id = d.id"
_COLUMNS = f"""
    d.id, d.source_topic, d.topic_id, d.source_partition, d.source_offset, d.attempt, d.stage, d.error_type, d.error,
    d.worker, d.failed_at, d.stored_at, {_SHOWN_STATE} AS state, d.whole, d.previous_id, n.id AS next_id, d.replay_id,
    d.replayed_at, d.resolved_at, d.resolved_by, d.resolution, d.original_headers::text AS headers,
    d.original_key AS key, octet_length(d.original_value) AS value_bytes
"""
# Compares the stored state as well as the shown one: the stored state has an index, and most letters are resolved.
MATCHES = f"""
    ($1::text IS NULL OR d.source_topic = $1) AND ($2::text IS NULL OR d.stage = $2)
    AND ($3::text IS NULL OR d.error_type = $3)
    AND ($4::timestamptz IS NULL OR d.failed_at >= $4) AND ($5::timestamptz IS NULL OR d.failed_at < $5)
    AND ($6::text IS NULL OR (d.state = CASE $6 WHEN 'dead_again' THEN 'replayed' ELSE $6 END AND {_SHOWN_STATE} = $6))
"""
_PAGE = f"""
SELECT {_COLUMNS}, substring(d.original_value FOR $9) AS value {_FROM}
WHERE {MATCHES} AND ($7::bigint IS NULL OR d.id < $7) ORDER BY d.id DESC LIMIT $8
"""
_ONE = f"SELECT {_COLUMNS}, substring(d.original_value FOR $2) AS value {_FROM} WHERE d.id = $1"
_STATS = f"""
SELECT d.source_topic, d.stage, d.error_type, {_SHOWN_STATE} AS state, count(*) AS letters,
    min(d.failed_at) AS oldest, max(d.failed_at) AS newest
{_FROM} GROUP BY 1, 2, 3, 4 ORDER BY letters DESC, 1, 2, 3, 4
"""
_RESOLVE = """
UPDATE dlq_events SET state = 'resolved', resolved_at = $2, resolved_by = $3, resolution = $4,
    watch_topic = NULL, watch_partition = NULL, watch_offset = NULL
WHERE id = $1 AND state <> 'resolved'
"""
_OPEN = f"SELECT d.id {_FROM} WHERE {MATCHES} ORDER BY d.id LIMIT $7"
# Letters that a replay is sending at this moment are left to it.
_RESOLVE_OPEN = f"""
UPDATE dlq_events AS r SET state = 'resolved', resolved_at = $8, resolved_by = $9, resolution = $10
FROM ({_OPEN} FOR NO KEY UPDATE OF d SKIP LOCKED) AS chosen WHERE r.id = chosen.id RETURNING r.id
"""  # noqa: S608, constants of this module


@dataclass(frozen=True, slots=True)
class NewLetter:
    """A dead letter to be stored. `whole`: nothing was cut from it.

    `previous`: the id and token that its headers claim.
    """

    letter: DeadLetter
    whole: bool
    previous: tuple[int, UUID] | None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Selects dead letters; None means any. `since` (included) and `until` (excluded) bound failed_at.

    Raises Invalid when they leave no time between them.
    """

    topic: str | None = None
    stage: str | None = None
    error_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: LetterState | None = None

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise Invalid("must be after since", "until")

    @property
    def parameters(self) -> tuple[Any, ...]:
        """$1 to $6 of MATCHES. NUL is replaced, because PostgreSQL refuses it; no column holds NUL."""
        texts = [None if text is None else storable(text) for text in (self.topic, self.stage, self.error_type)]
        return (*texts, self.since, self.until, self.state)

    def described(self) -> dict[str, str]:
        """What it asks for, as JSON can hold it."""
        given = ((name, value) for name, value in asdict(self).items() if value is not None)
        return {name: storable(value) if isinstance(value, str) else str(value) for name, value in given}


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A stored dead letter. `value` is cut to the asked length; `value_bytes` is its whole size."""

    id: int
    source_topic: str
    topic_id: UUID
    source_partition: int
    source_offset: int
    attempt: int
    stage: str
    error_type: str
    error: str
    worker: str
    failed_at: datetime
    stored_at: datetime
    state: LetterState
    whole: bool
    previous_id: int | None
    next_id: int | None
    replay_id: int | None
    replayed_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None
    headers: list[tuple[str, bytes]]
    key: bytes | None
    value_bytes: int | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class LetterCount:
    """The number of dead letters with the same topic, stage, error and state."""

    source_topic: str
    stage: str
    error_type: str
    state: LetterState
    letters: int
    oldest: datetime
    newest: datetime


def encoded_headers(headers: Sequence[tuple[str, bytes]]) -> str:
    """Headers as the column original_headers holds them."""
    return json.dumps([[storable(name), base64.b64encode(value).decode()] for name, value in headers])


def decoded_headers(text: str) -> list[tuple[str, bytes]]:
    """The headers of a column original_headers."""
    return [(name, base64.b64decode(value)) for name, value in json.loads(text)]


async def store_letters(pool: Pool, letters: Sequence[NewLetter], advances: Advances | None = None) -> int:
    """Store dead letters and link them to their earlier attempts. Returns how many were new: redelivery adds none.

    The same transaction advances the positions of the records that the letters come from. Raises Retryable, Invalid,
    StoredBehind or Fatal.
    """
    if not letters and advances is None:
        return 0
    plain = [new.letter for new in letters]
    async with transaction(pool) as storing:
        if advances is not None:
            await advance(storing, advances)
        stored = await storing.fetch(
            _STORE,
            [letter.topic_id for letter in plain],
            [storable(letter.topic) for letter in plain],
            [letter.partition for letter in plain],
            [letter.offset for letter in plain],
            [letter.attempt for letter in plain],
            [letter.key for letter in plain],
            [letter.value for letter in plain],
            [encoded_headers(letter.headers) for letter in plain],
            [letter.stage for letter in plain],
            [storable(letter.error_type) for letter in plain],
            [storable(letter.error) for letter in plain],
            [storable(letter.worker) for letter in plain],
            [letter.failed_at for letter in plain],
            [new.whole for new in letters],
            [new.previous[0] if new.previous else None for new in letters],
            [new.previous[1] if new.previous else None for new in letters],
        )
        failed_again = [row["previous_id"] for row in stored if row["previous_id"] is not None]
        if failed_again:
            await storing.execute(_FAILED_AGAIN, failed_again, utcnow())
    return len(stored)


async def is_stored(pool: Pool, letter: DeadLetter) -> bool:
    """Whether there is a dead letter of the same record."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval(_IS_STORED, letter.topic_id, letter.partition, letter.offset))


async def open_offsets(pool: Pool, topic_id: UUID, partition: int, first: int, end: int) -> list[int]:
    """Offsets from `first` to below `end` of first attempts that are dead: neither replayed nor resolved."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_OPEN_OFFSETS, topic_id, partition, max(first, 0), max(end, 0))
    return [row["source_offset"] for row in rows]


async def letters_page(
    pool: Pool, wanted: LetterFilter, *, before: int | None, limit: int, value_bytes: int
) -> list[StoredLetter]:
    """The newest dead letters, or the newest with an id below `before`; newest first."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_PAGE, *wanted.parameters, before, limit, value_bytes)
    return [_letter(row) for row in rows]


async def find_letter(pool: Pool, letter_id: int, *, value_bytes: int) -> StoredLetter | None:
    """One dead letter, or None."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_ONE, letter_id, value_bytes)
    return None if row is None else _letter(row)


async def letter_counts(pool: Pool) -> list[LetterCount]:
    """Dead letters by topic, stage, error and state, the most frequent first."""
    async with connection(pool) as reading:
        return [LetterCount(*row) for row in await reading.fetch(_STATS)]


async def resolve_letter(pool: Pool, letter_id: int, *, by: str, reason: str) -> bool:
    """Discard a dead letter: an operator resolves it. False when it is resolved already or does not exist."""
    if not reason.strip():
        raise Invalid("say why it is discarded", field="reason")
    async with transaction(pool) as writing:
        done = await writing.execute(_RESOLVE, letter_id, utcnow(), by, storable(reason)) == "UPDATE 1"
        if done:
            details = {"reason": storable(reason)}
            await audit.record(writing, who=by, action="dlq.resolve", target=str(letter_id), details=details)
    return done


async def open_letters(pool: Pool, wanted: LetterFilter, *, most: int) -> list[int]:
    """The ids of the open letters that match in ascending order: at most so many, the oldest first."""
    return [row["id"] for row in await pool.fetch(_OPEN, *_open(wanted), most)]


async def resolve_letters(pool: Pool, wanted: LetterFilter, *, by: str, reason: str, most: int) -> list[int]:
    """Discard the open letters that match, at most so many, the oldest first. Returns their ids in ascending order.

    Raises Invalid without a reason.
    """
    if not reason.strip():
        raise Invalid("say why they are discarded", field="reason")
    async with transaction(pool) as writing:
        rows = await writing.fetch(_RESOLVE_OPEN, *_open(wanted), most, utcnow(), by, storable(reason))
        ids = sorted(row["id"] for row in rows)
        if ids:
            details = {"reason": storable(reason), "filter": wanted.described(), "ids": ids}
            await audit.record(writing, who=by, action="dlq.resolve", target=f"{len(ids)} letters", details=details)
    return ids


def _open(wanted: LetterFilter) -> tuple[object, ...]:
    return replace(wanted, state="dead").parameters


def _letter(row: asyncpg.Record) -> StoredLetter:
    return StoredLetter(**{**row, "headers": decoded_headers(row["headers"])})
