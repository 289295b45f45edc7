"""What a worker does when the database says something else than the worker remembers."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from faust.types import TP
from structlog.testing import capture_logs

from signalflow.domain.positions import Break, Position, Start
from signalflow.errors import Retryable
from signalflow.positions import stored_topic
from signalflow.positions.stored_topic import StoredTopic
from signalflow.storage.positions import Progress, StoredBehind
from signalflow.streams.batch_loop import Ownership, Rewind
from tests.unit.positions.fakes import Consumer
from tests.unit.streams.fakes import FakeApp, Record

TOPIC_ID = UUID(int=7)
TP0, TP1 = TP("enriched", 0), TP("enriched", 1)


class Brokers:
    """Partitions that still have the records from `start` on; some of them from another offset on."""

    def __init__(self) -> None:
        self.start = 0
        self.starts: dict[int, int] = {}
        # From this offset on, no offset has a record.
        self.marks_from: int | None = None
        # Where the log was cut; None: it was not.
        self.cut: int | None = None
        self.requests: list[str] = []

    async def check_kept_positions(self, positions: Mapping[TP, Position]) -> Mapping[TP, Start]:
        """Positions beyond the cut are broken. Once they are set back, they are those of the log as it is now."""
        assert {tp.topic for tp in positions} == {"enriched"}
        return {
            tp: Start(position.offset)
            if self.cut is None or position.offset <= self.cut
            else Start(self.cut, Break.LOG_CUT)
            for tp, position in positions.items()
        }

    async def log_start(self, tp: TP) -> int:
        assert tp.topic == "enriched"
        return self.starts.get(tp.partition, self.start)

    async def first_record(self, tp: TP, offset: int, below: int) -> int | None:
        self.requests.append("first_record")
        first = max(await self.log_start(tp), offset)
        ends = below if self.marks_from is None else min(below, self.marks_from)
        return first if first < ends else None

    async def records_below(self, tp: TP, offset: int, most: int) -> Sequence[Record]:
        self.requests.append("records_below")
        return [Record(n) for n in range(max(await self.log_start(tp), offset - most), offset)]


class Database:
    """Stored offsets, and whether the rows of the last committed records are there."""

    def __init__(self, **offsets: int) -> None:
        self.offsets = {int(name[1:]): offset for name, offset in offsets.items()}
        self.has_rows = False

    async def stored_positions(self, pool: Any, topic_id: UUID) -> dict[int, Position]:
        assert (pool, topic_id) == ("the pool", TOPIC_ID)
        return {partition: Position(offset, topic_id) for partition, offset in self.offsets.items()}

    async def set_back(self, pool: Any, topic_id: UUID, partition: int, position: int, to: int) -> None:
        assert (pool, topic_id) == ("the pool", TOPIC_ID)
        if self.offsets[partition] == position:
            self.offsets[partition] = to

    async def count_as_stored(self, pool: Any, topic_id: UUID, partition: int, below: int) -> None:
        assert (pool, topic_id) == ("the pool", TOPIC_ID)
        self.offsets[partition] = max(below, self.offsets.get(partition, 0))


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(stored_topic, "stored_positions", database.stored_positions)
    monkeypatch.setattr(stored_topic, "set_back", database.set_back)
    monkeypatch.setattr(stored_topic, "count_as_stored", database.count_as_stored)
    return database


@pytest.fixture
def app() -> FakeApp:
    app = FakeApp()
    app.consumer.topic_ids["enriched"] = TOPIC_ID
    app.consumer.start_offsets[TP0] = 100
    return app


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
def topic(brokers: Brokers, database: Database) -> StoredTopic:
    async def is_stored(pool: Any, records: Sequence[Any]) -> bool:
        assert pool == "the pool"
        assert records
        return database.has_rows

    return StoredTopic("the pool", brokers, "enriched", is_stored, brokers.check_kept_positions)  # type: ignore[arg-type]


async def write(topic: StoredTopic, app: FakeApp, end: int, database: Database, owned: Ownership | None = None) -> None:
    """Write up to an offset, as the database would take it. `owned`: of a batch that was begun earlier."""
    async with topic.progress(owned or Ownership(app, app.consumer_generation_id), [0]) as progress:
        assert progress is not None
        if database.offsets.get(0, -1) < progress.expected[0]:
            raise StoredBehind([0])
        progress.expected[0] = database.offsets[0] = end


async def test_the_first_write_needs_what_was_committed_and_the_next_what_was_written(
    topic: StoredTopic, app: FakeApp, database: Database
) -> None:
    database.offsets[0] = 100
    await write(topic, app, 120, database)
    database.offsets[0] = 110
    with pytest.raises(Rewind) as rewind:
        await write(topic, app, 130, database)
    assert rewind.value.offsets == {0: 110}


async def test_partitions_of_which_nothing_was_committed_cost_the_brokers_no_request(
    topic: StoredTopic, app: FakeApp, brokers: Brokers, database: Database
) -> None:
    app.consumer.start_offsets[TP0] = 0
    with pytest.raises(Retryable):
        await write(topic, app, 20, database)
    await write(topic, app, 20, database)
    assert (database.offsets, brokers.requests) == ({0: 20}, [])


async def test_after_a_rewind_the_database_needs_only_what_was_rewound_to(
    topic: StoredTopic, app: FakeApp, database: Database
) -> None:
    database.offsets[0] = 0
    with pytest.raises(Rewind):
        await write(topic, app, 120, database)
    app.consumer.start_offsets[TP0] = 0
    await write(topic, app, 50, database)
    assert database.offsets == {0: 50}


async def test_a_batch_from_before_a_rewind_cannot_pass_over_what_is_read_again(
    topic: StoredTopic, app: FakeApp, database: Database
) -> None:
    database.offsets[0] = 40
    begun = Ownership(app, app.consumer_generation_id)
    app.consumer.start_offsets[TP0] = 40
    with pytest.raises(Rewind):
        await write(topic, app, 120, database, begun)
    assert database.offsets == {0: 40}


async def test_what_neither_log_nor_database_has_is_passed_over_once(
    topic: StoredTopic, app: FakeApp, brokers: Brokers, database: Database
) -> None:
    database.offsets[0], brokers.start = 40, 100
    with pytest.raises(Retryable):
        await write(topic, app, 120, database)
    await write(topic, app, 120, database)
    database.offsets[0], brokers.start = 40, 60
    with pytest.raises(Rewind) as rewind:
        await write(topic, app, 130, database)
    assert rewind.value.offsets == {0: 60}
    assert database.offsets == {0: 60}


@pytest.mark.parametrize(("log_start", "gone"), [(0, []), (90, []), (95, [(90, 95)]), (99, [(90, 99)])])
async def test_marks_of_transactions_are_no_records_that_are_gone(
    topic: StoredTopic, brokers: Brokers, database: Database, log_start: int, gone: list[tuple[int, int]]
) -> None:
    brokers.start, brokers.marks_from, database.offsets = log_start, 90, {0: 90}
    with capture_logs() as logs:
        assert await topic.missing(Progress(TOPIC_ID, {0: 99})) == {}
    assert [(entry["first"], entry["end"]) for entry in logs] == gone
    assert database.offsets == {0: 99}


@pytest.mark.parametrize(("has_rows", "rewound"), [(True, False), (False, True)])
async def test_without_a_position_the_rows_tell_where_the_database_is(
    topic: StoredTopic, app: FakeApp, database: Database, has_rows: bool, rewound: bool
) -> None:
    database.has_rows = has_rows
    with pytest.raises(Rewind if rewound else Retryable):
        await write(topic, app, 120, database)
    assert database.offsets == {0: 0 if rewound else 100}


async def test_another_generation_needs_what_its_assignment_began_with(
    topic: StoredTopic, app: FakeApp, database: Database
) -> None:
    database.offsets[0] = 100
    await write(topic, app, 120, database)
    app.consumer_generation_id += 1
    database.offsets[0] = 110
    await write(topic, app, 130, database)
    assert database.offsets == {0: 130}


async def test_a_partition_that_is_read_again_while_it_is_written_begins_anew_afterwards(
    topic: StoredTopic, app: FakeApp, database: Database
) -> None:
    """The timer that compares the database with what was committed runs beside the sink."""
    database.offsets[0] = 100
    async with topic.progress(Ownership(app, app.consumer_generation_id), [0]) as progress:
        assert progress is not None
        topic.forget([0])
        advances = progress.advances([Record(100, topic="enriched")])
        progress.stored(advances)
    app.consumer.start_offsets[TP0] = 40
    async with topic.progress(Ownership(app, app.consumer_generation_id), [0]) as progress:
        assert progress is not None
        assert progress.expected == {0: 40}


async def test_a_position_of_a_log_that_was_cut_since_tells_nothing_about_the_records_above_the_cut(
    topic: StoredTopic, app: FakeApp, brokers: Brokers, database: Database
) -> None:
    """The database went back to a copy from before it stored what took the place of the lost records."""
    database.offsets[0], brokers.cut = 170, 100
    assert await topic.missing(Progress(TOPIC_ID, {0: 130})) == {0: 100}
    assert database.offsets == {0: 100}


async def test_a_position_beyond_a_cut_is_set_back_before_anything_passes_it(
    topic: StoredTopic, app: FakeApp, brokers: Brokers, database: Database
) -> None:
    database.offsets[0], brokers.cut = 170, 120
    with pytest.raises(Retryable):
        async with topic.progress(Ownership(app, app.consumer_generation_id), [0]):
            # As the database refuses records that are later than its position, at a lower offset.
            raise StoredBehind([0])
    assert database.offsets == {0: 120}


async def test_a_higher_position_of_the_same_log_counts(
    topic: StoredTopic, app: FakeApp, brokers: Brokers, database: Database
) -> None:
    """A repetition may be later than what was stored: after a clock that went back, or when the position lies among
    records that became dead letters. If its rows moved the position back, the rows after them would be refused again,
    and with rows that are written in halves for ever."""
    database.offsets[0] = 170
    with pytest.raises(Retryable):
        async with topic.progress(Ownership(app, app.consumer_generation_id), [0]):
            raise StoredBehind([0])
    async with topic.progress(Ownership(app, app.consumer_generation_id), [0]) as progress:
        assert progress is not None
        progress.stored(progress.advances([Record(120, topic="enriched")]))
        assert progress.expected[0] == 170
    async with topic.progress(Ownership(app, app.consumer_generation_id), [0]) as progress:
        assert progress is not None
        assert progress.expected[0] == 170


async def test_each_partition_that_the_database_lacks_is_found_whatever_the_others_say(
    topic: StoredTopic, brokers: Brokers, database: Database
) -> None:
    database.offsets, brokers.starts = {0: 120, 1: 40, 2: 100, 3: 99}, {1: 60}
    progress = Progress(TOPIC_ID, {0: 100, 1: 100, 2: 100, 3: 100})
    assert await topic.missing(progress) == {1: 60, 3: 99}
    assert progress.expected == {0: 120, 1: 100, 2: 100, 3: 100}
    assert database.offsets == {0: 120, 1: 60, 2: 100, 3: 99}


async def test_a_partition_that_is_read_again_by_others_is_not_needed_of_the_database_any_more(
    topic: StoredTopic, app: FakeApp, database: Database
) -> None:
    database.offsets[0] = 100
    await write(topic, app, 120, database)
    topic.forget([0, 5])
    async with topic.progress(Ownership(app, app.consumer_generation_id), [1]) as progress:
        assert progress is not None
        assert progress.expected == {1: 0}


@pytest.mark.parametrize(("reached", "missing"), [(5, {}), (3, {1: 3})], ids=["it has all", "it lacks some"])
async def test_committed_records_that_the_database_lacks_are_read_and_stored_again(
    topic: StoredTopic, app: FakeApp, database: Database, reached: int, missing: dict[int, int]
) -> None:
    app.consumer.start_offsets[TP1] = 3
    async with topic.progress(Ownership(app, app.consumer_generation_id), [0, 1]) as progress:
        assert progress is not None
        progress.expected.update({0: 120, 1: 5})
    database.offsets = {0: 120, 1: reached}
    consumer = Consumer({TP0: Position(120), TP1: Position(5), TP("raw", 2): Position(9)}, {"enriched": TOPIC_ID})
    await topic.compare(consumer)  # type: ignore[arg-type]
    found = {TP("enriched", partition): offset for partition, offset in missing.items()}
    assert consumer.rewinds == ([(found, "database_behind")] if missing else [])
    async with topic.progress(Ownership(app, app.consumer_generation_id), [1]) as progress:
        assert progress is not None
        assert progress.expected == {0: 120, 1: reached}


async def test_before_the_first_assignment_nothing_is_compared_with_the_database(
    topic: StoredTopic, database: Database
) -> None:
    database.offsets = {0: 3}
    consumer = Consumer({TP0: Position(5)}, {})
    await topic.compare(consumer)  # type: ignore[arg-type]
    assert consumer.rewinds == []
