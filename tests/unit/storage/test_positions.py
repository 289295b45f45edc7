"""What the statements about positions are given, and what is made of their answers; PostgreSQL runs them elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from signalflow.domain.positions import Position
from signalflow.storage import positions
from signalflow.storage.positions import Advance, Advances, StoredBehind

TOPIC_ID = UUID(int=7)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POOL: Any = "the pool"


class Database:
    """Stands for a connection: notes the statements, and answers each with `rows`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.rows: list[Any] = []

        @asynccontextmanager
        async def connection(pool: Any) -> AsyncIterator["Database"]:
            assert pool == POOL
            yield self

        monkeypatch.setattr(positions, "connection", connection)

    async def fetch(self, *given: Any) -> list[Any]:
        self.done.append(given)
        return self.rows

    async def execute(self, *given: Any) -> None:
        self.done.append(given)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    return Database(monkeypatch)


ADVANCES = Advances(
    TOPIC_ID,
    [
        Advance(0, 10, 13, EPOCH + timedelta(seconds=1), EPOCH + timedelta(seconds=2)),
        Advance(2, 40, 41, EPOCH + timedelta(seconds=3), EPOCH + timedelta(seconds=4)),
    ],
)


async def test_a_transaction_advances_all_partitions_with_one_statement(database: Any) -> None:
    database.rows = [(2,), (0,)]
    await positions.advance(database, ADVANCES)
    begins, ends = ([EPOCH + timedelta(seconds=second) for second in pair] for pair in ((1, 3), (2, 4)))
    assert database.done == [(positions._ADVANCE, TOPIC_ID, [0, 2], [10, 40], [13, 41], begins, ends)]


@pytest.mark.parametrize(("advanced", "named"), [([(0,)], r"\[2\]"), ([], r"\[0, 2\]")])
async def test_a_partition_that_the_database_does_not_advance_is_named(
    database: Any, advanced: list[Any], named: str
) -> None:
    database.rows = advanced
    with pytest.raises(StoredBehind, match=f"than what was stored in partitions {named}"):
        await positions.advance(database, ADVANCES)


async def test_the_positions_of_a_topic_are_read_with_the_times_of_their_records(database: Any) -> None:
    at = EPOCH + timedelta(milliseconds=1_500, microseconds=700)
    database.rows = [
        {"partition": 0, "next_offset": 13, "record_at": at},
        {"partition": 3, "next_offset": 2, "record_at": None},
    ]
    assert await positions.stored_positions(POOL, TOPIC_ID) == {
        0: Position(13, TOPIC_ID, 1_500),
        3: Position(2, TOPIC_ID, None),
    }
    assert database.done == [(positions._OF_TOPIC, TOPIC_ID)]


async def test_a_position_is_moved_forward_or_set_back_in_its_partition(database: Any) -> None:
    await positions.count_as_stored(POOL, TOPIC_ID, 3, 17)
    await positions.set_back(POOL, TOPIC_ID, 3, 17, 5)
    assert database.done == [(positions._MOVE_FORWARD, TOPIC_ID, 3, 17), (positions._SET_BACK, TOPIC_ID, 3, 17, 5)]
