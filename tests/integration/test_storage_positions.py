"""How far a topic is stored moves with the rows, and refuses to pass over what the database lacks."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest

from signalflow.domain.positions import Position
from signalflow.storage.log_breaks import note_break, note_topics
from signalflow.storage.noted_positions import PUBLISHED, READ, NotedPositions
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Progress, StoredBehind, count_as_stored, set_back, stored_positions
from signalflow.storage.writer import is_stored, write_batch, write_or_reject
from tests.integration.storage_rows import column, observation

TOPIC = UUID(int=7)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
# A time in a log, in milliseconds.
AT = 1_767_225_600_123


class Record(NamedTuple):
    partition: int
    offset: int
    timestamp: int


def records(first: int, end: int, partition: int = 0, later: int = 0) -> list[Record]:
    """Records whose times grow by a second an offset; `later`: all of them came so many seconds later."""
    return [
        Record(partition, offset, int((BEGIN + timedelta(seconds=offset + later)).timestamp() * 1000))
        for offset in range(first, end)
    ]


@pytest.fixture
async def pool(database_pool: Pool) -> Pool:
    await count_as_stored(database_pool, TOPIC, 0, 10)
    return database_pool


async def store(pool: Pool, expected: int, *ranges: list[Record]) -> None:
    progress = Progress(TOPIC, {0: expected, 1: 0})
    for each in ranges:
        await write_batch(pool, [], progress.advances(each))


async def offsets(pool: Pool) -> dict[int, int]:
    return {partition: position.offset for partition, position in (await stored_positions(pool, TOPIC)).items()}


async def test_a_position_advances_with_the_rows_of_its_transaction(pool: asyncpg.Pool) -> None:
    progress = Progress(TOPIC, {0: 10})
    rows, taken = [observation("a"), observation("b")], records(10, 12)
    assert await write_or_reject(pool, rows, taken, progress) == []
    assert await offsets(pool) == {0: 12}
    assert progress.expected == {0: 12}


async def test_what_the_database_lacks_is_not_passed_over_and_the_rows_are_not_stored(pool: asyncpg.Pool) -> None:
    progress = Progress(TOPIC, {0: 20})
    with pytest.raises(StoredBehind):
        await write_or_reject(pool, [observation("a")], records(20, 21), progress)
    assert await column(pool, "posts", "id") == []
    assert await offsets(pool) == {0: 10}


async def test_a_partition_without_a_position_is_not_written(pool: asyncpg.Pool) -> None:
    with pytest.raises(StoredBehind, match="1"):
        await store(pool, 10, records(0, 1, partition=1))


async def test_a_repetition_does_not_move_a_position_back(pool: asyncpg.Pool) -> None:
    await store(pool, 10, records(10, 30), records(15, 20))
    assert await offsets(pool) == {0: 30}


async def test_records_that_took_the_place_of_lost_ones_wait_until_the_position_is_set_back(pool: asyncpg.Pool) -> None:
    await store(pool, 10, records(10, 30))
    with pytest.raises(StoredBehind):
        await store(pool, 20, records(20, 25, later=3600))
    (position,) = (await stored_positions(pool, TOPIC)).values()
    assert (position.offset, position.timestamp) == (30, records(29, 30)[0].timestamp)
    await set_back(pool, TOPIC, 0, 30, 20)
    await store(pool, 20, records(20, 25, later=3600))
    assert await offsets(pool) == {0: 25}


async def test_a_position_that_has_moved_since_it_was_read_is_not_set_back(pool: asyncpg.Pool) -> None:
    await store(pool, 10, records(10, 30))
    await set_back(pool, TOPIC, 0, 20, 15)
    assert await offsets(pool) == {0: 30}


async def test_a_repetition_that_goes_further_moves_the_position(pool: asyncpg.Pool) -> None:
    await store(pool, 10, records(10, 30))
    await store(pool, 15, records(15, 40))
    assert await offsets(pool) == {0: 40}


async def test_a_poison_row_is_passed_over_by_the_rows_after_it(pool: asyncpg.Pool) -> None:
    rows = [observation("a"), observation("b", current_comments=-1), observation("c")]
    progress = Progress(TOPIC, {0: 10})
    rejected = await write_or_reject(pool, rows, records(10, 13), progress)
    assert [each.index for each in rejected] == [1]
    assert await column(pool, "posts", "id") == ["a", "c"]
    assert await offsets(pool) == {0: 13}


async def test_a_row_is_stored_when_history_or_post_hold_it(pool: asyncpg.Pool) -> None:
    await write_batch(pool, [observation("a", 10)])
    assert await is_stored(pool, observation("a", 10))
    assert not await is_stored(pool, observation("a", 20))
    assert not await is_stored(pool, observation("b", 10))


async def test_each_new_id_of_a_topic_is_a_break_also_when_consumers_recorded_the_one_before(pool: Pool) -> None:
    assert await note_topics(pool, {"raw": UUID(int=1)}) == []
    for number in (2, 3):
        assert await note_topics(pool, {"raw": UUID(int=number)}) == ["raw"]
        await note_break(pool, topic="raw", partition=0, reason="topic_made_anew", committed=9, going_on_at=0)
    assert await note_topics(pool, {"raw": UUID(int=3)}) == []


@pytest.mark.parametrize(
    ("table", "later", "other"),
    [(READ, 0, None), (READ, 1, None), (PUBLISHED, 1, AT)],
    ids=["read, the same time", "read, a later time", "published, a later time"],
)
async def test_a_break_hides_what_was_noted_before_it_and_not_the_same_offset_noted_after_it(
    pool: Pool, table: NotedPositions, later: int, other: int | None
) -> None:
    raw = UUID(int=8)
    noted = {0: Position(28, raw, AT), 1: Position(5, raw, other)}
    await table.note(pool, raw, noted)
    assert await table.unbroken(pool, "raw", raw) == noted
    await note_break(pool, topic="raw", partition=0, reason="log_cut", committed=28, going_on_at=20)
    assert await table.unbroken(pool, "raw", raw) == {1: noted[1]}
    again = {0: Position(28, raw, AT + later)}
    await table.note(pool, raw, again)
    assert await table.unbroken(pool, "raw", raw) == noted | again


@pytest.mark.parametrize(
    ("note", "of_published"),
    [
        (Position(29, UUID(int=9), AT - 1), Position(29, UUID(int=9), AT - 1)),
        (Position(27, UUID(int=9), AT + 1), Position(27, UUID(int=9), AT + 1)),
        (Position(27, UUID(int=9), AT - 1), Position(28, UUID(int=9), AT)),
    ],
    ids=["a higher offset", "a later time, after a cut", "a note that came late"],
)
async def test_a_note_replaces_the_one_before_but_of_the_poller_only_one_that_came_in_time(
    pool: Pool, note: Position, of_published: Position
) -> None:
    raw = UUID(int=9)
    for table in (READ, PUBLISHED):
        for position in (Position(28, raw, AT), note):
            await table.note(pool, raw, {0: position})
    assert await READ.unbroken(pool, "raw", raw) == {0: note}, "a worker has rewound"
    assert await PUBLISHED.unbroken(pool, "raw", raw) == {0: of_published}
