"""How many rows are written at once, and which row is rejected because it alone is too slow."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched
from signalflow.storage import paced_writer
from signalflow.storage.paced_writer import PacedWriter, TooSlow, Written
from signalflow.storage.pool import TookTooLong
from signalflow.storage.positions import Progress
from signalflow.storage.writer import Rejected
from tests.unit.streams.fakes import Record
from tests.unit.test_sink_agent import row

TIMEOUT = 10.0


class Database:
    """A database that takes some seconds a row, and ends a statement at the timeout."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        # By post: the seconds that its row takes; and the posts whose rows are refused.
        self.seconds: dict[str, float] = {}
        self.refused: set[str] = set()
        self.failure: Exception | None = None
        self.pieces: list[tuple[list[str], list[int]]] = []
        self.tried_alone: list[str] = []
        monkeypatch.setattr(paced_writer, "write_or_reject", self.write_or_reject)
        monkeypatch.setattr(paced_writer, "write_batch", self.write_batch)
        # Not time.monotonic itself, by which the event loop goes.
        monkeypatch.setattr(paced_writer, "time", SimpleNamespace(monotonic=lambda: self.now))

    def _take(self, rows: Sequence[Enriched]) -> None:
        if self.failure:
            raise self.failure
        seconds = sum(self.seconds.get(each.id, 0.001) for each in rows)
        self.now += min(seconds, TIMEOUT)
        if seconds >= TIMEOUT:
            raise TookTooLong("statement timeout")

    async def write_or_reject(
        self, pool: Any, rows: Sequence[Enriched], records: Sequence[Record], progress: Any, _: None
    ) -> list[Rejected]:
        assert (pool, progress) == ("the pool", PROGRESS)
        self.pieces.append(([each.id for each in rows], [record.offset for record in records]))
        self._take(rows)
        refused = (index for index, each in enumerate(rows) if each.id in self.refused)
        return [Rejected(index, Invalid("refused")) for index in refused]

    async def write_batch(self, pool: Any, rows: Sequence[Enriched]) -> None:
        assert pool == "the pool"
        self.tried_alone += [each.id for each in rows]
        if any(each.id in self.refused for each in rows):
            raise Invalid("refused")
        self._take(rows)


PROGRESS = Progress(UUID(int=7), {0: 0})


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    return Database(monkeypatch)


@pytest.fixture
def writer() -> PacedWriter:
    return PacedWriter("the pool", TIMEOUT)  # type: ignore[arg-type]


def rows_of(names: str) -> list[Enriched]:
    return [row(name) for name in names]


async def write(writer: PacedWriter, rows: Sequence[Enriched]) -> Written:
    return await writer.write(rows, [Record(10 + index) for index in range(len(rows))], PROGRESS)


async def test_all_rows_are_written_at_once_while_the_database_is_quick(
    writer: PacedWriter, database: Database
) -> None:
    database.refused = {"b"}
    written = await write(writer, rows_of("abc"))
    assert (written.count, [each.index for each in written.rejected]) == (3, [1])
    assert database.pieces == [(["a", "b", "c"], [10, 11, 12])]


async def test_a_piece_that_took_too_long_is_halved_with_its_records_and_grows_again_when_it_is_quick(
    writer: PacedWriter, database: Database
) -> None:
    rows = rows_of("abcdefgh")
    database.seconds = {"a": TIMEOUT}
    for _ in range(2):
        with pytest.raises(TookTooLong):
            await write(writer, rows)
    database.seconds = {}
    assert await write(writer, rows) == Written(2, [])
    assert await write(writer, rows) == Written(4, [])
    assert [len(ids) for ids, _ in database.pieces] == [8, 4, 2, 4]
    assert database.pieces[2] == (["a", "b"], [10, 11])


async def test_a_piece_does_not_grow_after_one_that_took_a_quarter_of_the_timeout(
    writer: PacedWriter, database: Database
) -> None:
    rows = rows_of("abcd")
    database.seconds = {"a": TIMEOUT}
    with pytest.raises(TookTooLong):
        await write(writer, rows)
    database.seconds = {"a": TIMEOUT / 4}
    assert [(await write(writer, rows)).count for _ in range(2)] == [2, 2]


async def slow_alone(writer: PacedWriter, rows: Sequence[Enriched], times: int = 1) -> None:
    """The first row reaches the timeout alone, so many times."""
    for _ in range(times):
        with pytest.raises(TookTooLong):
            await write(writer, rows[:1])


async def test_a_row_that_is_slow_alone_twice_is_rejected_when_the_database_stores_another_one(
    writer: PacedWriter, database: Database
) -> None:
    rows = rows_of("aabc")
    database.seconds = {"a": TIMEOUT}
    for _ in range(3):
        with pytest.raises(TookTooLong):
            await write(writer, rows)
    assert [len(ids) for ids, _ in database.pieces] == [4, 2, 1]
    assert database.tried_alone == [], "not after the first time alone"
    written = await write(writer, rows)
    assert database.tried_alone == ["b"], "of another post: the next row may be as slow"
    assert written.count == 1
    (rejected,) = written.rejected
    assert rejected.index == 0
    assert isinstance(rejected.error, TooSlow)
    assert str(rejected.error) == "statement timeout; the database stores other rows in time"


async def test_the_only_row_left_is_rejected_when_the_database_stores_again_what_it_stored_last(
    writer: PacedWriter, database: Database
) -> None:
    database.refused = {"c", "e"}
    await write(writer, rows_of("cde"))
    rows = rows_of("a")
    database.seconds = {"a": TIMEOUT}
    await slow_alone(writer, rows)
    assert (await write(writer, rows)).count == 1
    assert database.tried_alone == ["d"], "the first row that it stored"


async def test_rows_that_were_all_refused_do_not_count_as_stored(writer: PacedWriter, database: Database) -> None:
    database.refused = {"c"}
    await write(writer, rows_of("c"))
    database.seconds = {"a": TIMEOUT}
    await slow_alone(writer, rows_of("a"), times=3)
    assert database.tried_alone == []


@pytest.mark.parametrize("failure", [Retryable("away"), Invalid("refused"), TookTooLong("statement timeout")])
async def test_a_slow_row_is_not_rejected_while_the_database_stores_no_other(
    writer: PacedWriter, database: Database, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    rows = rows_of("ab")
    database.seconds = {"a": TIMEOUT}
    with pytest.raises(TookTooLong):
        await write(writer, rows)

    async def fail(pool: Any, others: Sequence[Enriched]) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(paced_writer, "write_batch", fail)
        for _ in range(3):
            with pytest.raises(TookTooLong):
                await write(writer, rows)
    assert (await write(writer, rows)).count == 1, "as soon as it stores one"


async def test_timeouts_are_counted_by_row(writer: PacedWriter, database: Database) -> None:
    await write(writer, rows_of("d"))
    first, second = rows_of("a"), rows_of("b")
    database.seconds = {"a": TIMEOUT, "b": TIMEOUT}
    for rows in (first, second, first):
        await slow_alone(writer, rows)
    assert (await write(writer, first)).count == 1


async def test_another_error_than_a_timeout_makes_no_piece_smaller(writer: PacedWriter, database: Database) -> None:
    rows = rows_of("abcd")
    database.failure = Retryable("away")
    with pytest.raises(Retryable, match="away"):
        await write(writer, rows)
    database.failure = None
    assert (await write(writer, rows)).count == 4
