"""Replays of dead letters in the database: which letters are due, which are being sent, and what became of them.

A row changes its state in the transaction that holds its lock while the record is sent. Two replays at the same time
therefore never send the same letter: the second skips the locked row. When the sender dies before the commit, the row
stays dead and may be sent again. That changes nothing, because the tables store an observation once, and the second of
two letters with the same token is not stored.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from signalflow.clock import utcnow
from signalflow.domain.words import ReplayPolicy
from signalflow.storage import audit
from signalflow.storage.dead_letters import MATCHES, LetterFilter, decoded_headers
from signalflow.storage.pool import Pool, connection, transaction

_REPLAYABLE = "d.state = 'dead' AND d.whole AND d.attempt < $7 AND d.source_topic = ANY ($8::text[])"
_DUE = f"""
SELECT d.id FROM dlq_events AS d LEFT JOIN dlq_events AS n ON n.previous_id = d.id
WHERE {MATCHES} AND {_REPLAYABLE} AND ($10::bigint IS NULL OR d.id = $10) ORDER BY d.id LIMIT $9
"""  # noqa: S608, constants of this module
_TAKE = """
SELECT id, source_topic AS topic, source_partition AS partition, attempt, original_key AS key, original_value AS value,
    original_headers::text AS headers, replay_token AS token
FROM dlq_events WHERE id = ANY ($1::bigint[]) AND state = 'dead' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
# This transaction waits for the brokers, whose own time limit is shorter.
_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = '60s'"
_SENT = """
UPDATE dlq_events AS d SET state = 'replayed', replayed_at = $4, replay_id = $5,
    watch_topic = d.source_topic, watch_partition = i.partition, watch_offset = i."offset"
FROM unnest($1::bigint[], $2::int[], $3::bigint[]) AS i (id, partition, "offset") WHERE d.id = i.id
"""
_BEGIN = "INSERT INTO dlq_replays (requested_by, filter, policy, most) VALUES ($1, $2::jsonb, $3, $4) RETURNING id"
_COUNT = "UPDATE dlq_replays SET sent = sent + $2, skipped = skipped + $3 WHERE id = $1"
_FINISH = "UPDATE dlq_replays SET finished_at = $2, outcome = $3 WHERE id = $1"
_REPLAYS = """
SELECT r.id, r.requested_by, r.filter::text, r.policy, r.most, r.sent, r.skipped, r.started_at, r.finished_at,
    r.outcome, (SELECT count(*) FROM dlq_events AS d JOIN dlq_events AS n ON n.previous_id = d.id
        WHERE d.replay_id = r.id) AS failed_again
FROM dlq_replays AS r ORDER BY r.id DESC LIMIT $1
"""
_WATCHED = """
SELECT watch_topic, watch_partition FROM dlq_events WHERE watch_topic IS NOT NULL GROUP BY 1, 2
"""
_WATCH_NEXT = """
UPDATE dlq_events SET watch_topic = $4, watch_offset = $5
WHERE watch_topic = $1 AND watch_partition = $2 AND watch_offset < $3
"""
_RESOLVE_PASSED = """
UPDATE dlq_events AS d SET state = 'resolved', resolved_at = $4,
    watch_topic = NULL, watch_partition = NULL, watch_offset = NULL
WHERE watch_topic = $1 AND watch_partition = $2 AND watch_offset < $3 AND state = 'replayed'
AND NOT EXISTS (SELECT FROM dlq_events AS n WHERE n.previous_id = d.id)
"""
_FATE = """
SELECT d.state = 'resolved' AS resolved, n.id AS next_id
FROM dlq_events AS d LEFT JOIN dlq_events AS n ON n.previous_id = d.id WHERE d.id = $1
"""


@dataclass(frozen=True, slots=True)
class LockedLetter:
    """A dead letter that is being sent; its row is locked."""

    id: int
    topic: str
    partition: int
    attempt: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    token: UUID


@dataclass(frozen=True, slots=True)
class ReplayRecord:
    """One replay. `outcome` is None while it is under way, and stays None when its process died."""

    id: int
    requested_by: str
    filter: dict[str, Any]
    policy: ReplayPolicy
    most: int
    sent: int
    skipped: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    failed_again: int


async def due_letters(
    pool: Pool, wanted: LetterFilter, *, only: int | None, topics: Collection[str], max_attempts: int, limit: int
) -> list[int]:
    """Ids of dead letters that may be replayed, oldest first: not cut, from these topics, and with attempts left."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_DUE, *wanted.parameters, max_attempts, list(topics), limit, only)
    return [row["id"] for row in rows]


async def begin_replay(
    pool: Pool, *, by: str, wanted: LetterFilter, only: int | None, policy: ReplayPolicy, most: int
) -> int:
    """Record that a replay begins, and return its id."""
    described = json.dumps(wanted.described() | ({} if only is None else {"id": only}))
    async with transaction(pool) as writing:
        replay_id = int(await writing.fetchval(_BEGIN, by, described, policy, most))
        details = {"filter": json.loads(described), "policy": policy, "most": most}
        await audit.record(writing, who=by, action="dlq.replay", target=str(replay_id), details=details)
    return replay_id


async def send_locked(
    pool: Pool,
    replay_id: int,
    ids: Sequence[int],
    send: Callable[[list[LockedLetter]], Awaitable[Mapping[int, tuple[int, int]]]],
) -> Mapping[int, tuple[int, int]]:
    """Lock the letters that are still dead, give them to `send`, and record as replayed those that it confirms.

    `send` returns the partition and offset of each letter that it sent, by the letter's id. Letters that another replay
    holds and letters that `send` leaves out count as skipped. Raises what `send` raises, with nothing recorded, and
    Retryable when the database is away.
    """
    async with transaction(pool) as sending:
        await sending.execute(_PATIENCE)
        rows = await sending.fetch(_TAKE, list(ids))
        taken = [LockedLetter(**{**row, "headers": decoded_headers(row["headers"])}) for row in rows]
        sent = await send(taken) if taken else {}
        partitions, offsets = [partition for partition, _ in sent.values()], [offset for _, offset in sent.values()]
        await sending.execute(_SENT, list(sent), partitions, offsets, utcnow(), replay_id)
        await sending.execute(_COUNT, replay_id, len(sent), len(ids) - len(sent))
    return sent


async def finish_replay(pool: Pool, replay_id: int, outcome: str) -> None:
    """Record how a replay ended."""
    async with connection(pool) as writing:
        await writing.execute(_FINISH, replay_id, utcnow(), outcome)


async def recent_replays(pool: Pool, limit: int) -> list[ReplayRecord]:
    """The newest replays."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_REPLAYS, limit)
    return [ReplayRecord(**{**row, "filter": json.loads(row["filter"])}) for row in rows]


async def watched_partitions(pool: Pool) -> set[tuple[str, int]]:
    """The (topic, partition) pairs that hold replayed records whose fate is not known yet."""
    async with connection(pool) as reading:
        return {(row["watch_topic"], row["watch_partition"]) for row in await reading.fetch(_WATCHED)}


async def watch_in_next_topic(
    pool: Pool, partition: tuple[str, int], committed: int, following: tuple[str, int], end: int
) -> None:
    """Go on watching the records of this partition that the group has committed, in the topic that follows.

    Their outputs are below offset `end` of the same partition there.
    """
    async with connection(pool) as writing:
        await writing.execute(_WATCH_NEXT, *partition, committed, following[0], end - 1)


async def resolve_passed(pool: Pool, partition: tuple[str, int], committed: int) -> None:
    """Resolve letters whose record the group has committed in the last topic, without a new dead letter."""
    async with connection(pool) as writing:
        await writing.execute(_RESOLVE_PASSED, *partition, committed, utcnow())


async def fate_of(pool: Pool, letter_id: int) -> Literal["under_way", "resolved", "failed_again"]:
    """What became of a replayed letter."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_FATE, letter_id)
    if row is not None and row["next_id"] is not None:
        return "failed_again"
    return "resolved" if row is not None and row["resolved"] else "under_way"
