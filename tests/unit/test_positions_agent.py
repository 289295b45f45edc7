"""What the database is told of how far logs were read and of their breaks, and what it tells then."""

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from faust.types import TP
from structlog.testing import capture_logs

from agents import positions
from agents.positions import ReadTopic, compare_with_database, record_breaks, record_topics
from signalflow.domain.positions import Position
from signalflow.errors import Retryable
from signalflow.settings import Settings
from signalflow.storage.positions import Progress
from signalflow.streams.breaks import LogBreak

TOPIC_ID, OTHER_ID = UUID(int=7), UUID(int=8)
TP0, TP1, OTHER = TP("raw", 0), TP("raw", 1), TP("enriched", 0)


def at(offset: int, timestamp: int | None = None) -> Position:
    return Position(offset, TOPIC_ID, timestamp)


class Brokers:
    """Brokers that have the topics of these ids."""

    def __init__(self) -> None:
        self.ids = {"raw": TOPIC_ID, "enriched": OTHER_ID}
        self.failure: Exception | None = None

    async def topic_ids(self, names: Iterable[str]) -> dict[str, UUID]:
        if self.failure:
            raise self.failure
        return {name: self.ids[name.rpartition(".")[2]] for name in names if name.rpartition(".")[2] in self.ids}


class Consumer:
    """A consumer that reads two partitions of the raw topic, and one of another topic."""

    def __init__(self) -> None:
        self.read = {TP0: at(28, 1_270), TP1: at(5, 1_040), OTHER: Position(9, OTHER_ID, 1_080)}
        self.topic_ids = {"raw": TOPIC_ID}
        self.checked: list[Mapping[TP, Position]] = []
        self.breaks: list[LogBreak] = []
        self.recorded: list[LogBreak] = []
        self.rewinds: list[tuple[dict[TP, int], str]] = []
        self.brokers = Brokers()
        # What happens while the logs are compared.
        self.meanwhile: Any = lambda: None

    def topic_id(self, topic: str) -> UUID | None:
        return self.topic_ids.get(topic)

    def started(self) -> frozenset[TP]:
        return frozenset(self.read)

    def committed_upto(self, tp: TP) -> int:
        return self.read[tp].offset

    def position_at(self, tp: TP, offset: int) -> Position:
        assert offset == self.read[tp].offset
        return self.read[tp]

    async def check_kept_positions(self, kept: Mapping[TP, Position]) -> None:
        self.checked.append(dict(kept))
        self.meanwhile()

    def unrecorded_breaks(self) -> list[LogBreak]:
        return [found for found in self.breaks if found not in self.recorded]

    async def note_recorded(self, found: LogBreak) -> None:
        self.recorded.append(found)

    async def rewind(self, offsets: Mapping[TP, int], reason: str) -> None:
        self.rewinds.append((dict(offsets), reason))


class Database:
    """The noted positions, and how often they were written."""

    def __init__(self) -> None:
        self.noted: dict[int, Position] = {}
        self.published: dict[int, Position] = {}
        self.writes: list[dict[int, Position]] = []
        self.breaks: list[dict[str, Any]] = []
        # So many breaks more can be recorded before the database is away.
        self.room = 10
        self.topics: dict[str, UUID] = {}

    async def read_positions(self, pool: Any, topic: str, topic_id: UUID) -> dict[int, Position]:
        assert (pool, topic, topic_id) == ("the pool", "raw", TOPIC_ID)
        return dict(self.noted)

    async def published_positions(self, pool: Any, topic: str, topic_id: UUID) -> dict[int, Position]:
        assert (pool, topic, topic_id) == ("the pool", "raw", TOPIC_ID)
        return dict(self.published)

    async def note_read(self, pool: Any, topic_id: UUID, read: Mapping[int, Position]) -> None:
        assert (pool, topic_id) == ("the pool", TOPIC_ID)
        self.writes.append(dict(read))
        self.noted.update(read)

    async def note_break(self, pool: Any, **fields: Any) -> None:
        assert pool == "the pool"
        if not self.room:
            raise Retryable("away")
        self.room -= 1
        self.breaks.append(fields)

    async def note_topics(self, pool: Any, ids: Mapping[str, UUID]) -> Sequence[str]:
        assert pool == "the pool"
        return [name for name in ids if self.topics.setdefault(name, ids[name]) != ids[name]]


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def app(consumer: Consumer) -> Any:
    return SimpleNamespace(consumer=consumer, consumer_generation_id=1, settings=Settings())


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(positions, "read_positions", database.read_positions)
    monkeypatch.setattr(positions, "published_positions", database.published_positions)
    monkeypatch.setattr(positions, "note_read", database.note_read)
    monkeypatch.setattr(positions, "note_break", database.note_break)
    monkeypatch.setattr(positions, "note_topics", database.note_topics)
    return database


@pytest.fixture
def raw() -> ReadTopic:
    return ReadTopic("raw")


async def note(raw: ReadTopic, app: Any) -> None:
    await raw.note(app, "the pool")  # type: ignore[arg-type]


async def test_positions_of_the_raw_topic_are_noted_and_written_again_only_when_they_change(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    await note(raw, app)
    await note(raw, app)
    consumer.read[TP1] = at(6, 1_050)
    await note(raw, app)
    assert database.writes == [{0: at(28, 1_270), 1: at(5, 1_040)}, {1: at(6, 1_050)}]
    assert consumer.checked == []


async def test_records_that_took_the_place_of_as_many_lost_ones_are_noted_with_their_time(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    """With the time of the lost record, the next worker would find the cut once more."""
    await note(raw, app)
    consumer.read[TP0] = at(28, 9_999)
    await note(raw, app)
    assert database.noted[0] == at(28, 9_999)


async def test_what_a_break_has_hidden_since_is_noted_again_though_nothing_new_was_read(
    raw: ReadTopic, app: Any, database: Database
) -> None:
    """Otherwise the next cut would not be found by it."""
    await note(raw, app)
    del database.noted[0]
    await note(raw, app)
    assert database.writes[1:] == [{0: at(28, 1_270)}]


@pytest.mark.parametrize(("noted", "kept"), [(at(28, 1_270), at(28, 1_270)), (at(27, 1_260), at(28))])
async def test_a_position_without_a_time_takes_no_time_away_from_the_same_offset(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database, noted: Position, kept: Position
) -> None:
    consumer.read, database.noted = {TP0: at(28)}, {0: noted}
    for _ in range(2):
        await note(raw, app)
    assert database.noted == {0: kept}
    assert consumer.checked == [{TP0: noted}], "once"


async def test_what_others_noted_is_compared_with_the_log_once_in_each_generation(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    database.noted = {0: at(30, 1_290), 3: at(1, 1_000)}
    await note(raw, app)
    await note(raw, app)
    assert consumer.checked == [{TP0: at(30, 1_290)}]
    app.consumer_generation_id += 1
    await note(raw, app)
    assert consumer.checked[1:] == [{TP0: at(28, 1_270), TP1: at(5, 1_040)}]


async def test_what_the_poller_wrote_is_compared_with_the_log_until_it_was_read(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    database.published = {0: at(30, 1_290), 1: at(5, 1_040), 3: at(9, 1_080)}
    for _ in range(2):
        await note(raw, app)
    assert consumer.checked == [{TP0: at(30, 1_290)}] * 2, "the log may be cut at any time"
    consumer.read[TP0] = at(30, 1_290)
    await note(raw, app)
    assert len(consumer.checked) == 2


@pytest.mark.parametrize("earlier", [at(20, 1_190), at(28, 900)], ids=["a lower offset", "the same offset"])
async def test_what_a_database_says_that_went_back_to_a_copy_is_compared_with_the_log(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database, earlier: Position
) -> None:
    await note(raw, app)
    database.noted[0] = earlier
    await note(raw, app)
    assert consumer.checked == [{TP0: earlier}]
    assert database.noted[0] == at(28, 1_270)


async def test_nothing_is_noted_of_partitions_that_were_revoked_while_the_logs_were_compared(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    def revoke() -> None:
        app.consumer_generation_id += 1

    database.noted, consumer.meanwhile = {0: at(20, 1_190)}, revoke
    await note(raw, app)
    assert database.writes == []


async def test_while_the_logs_cannot_be_compared_nothing_is_noted(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    """The position that tells of the cut would be overwritten."""

    def fail() -> None:
        raise Retryable("away")

    database.noted, consumer.meanwhile = {0: at(20, 1_190)}, fail
    with pytest.raises(Retryable):
        await note(raw, app)
    assert database.writes == []


async def test_a_break_that_the_comparison_finds_is_recorded_before_anything_is_noted(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    def find() -> None:
        consumer.breaks = [LogBreak(TP0, "log_cut", 30, 20)]

    database.noted, consumer.meanwhile = {0: at(30, 1_290)}, find
    await note(raw, app)
    assert database.breaks == [
        {"topic": "raw", "partition": 0, "reason": "log_cut", "committed": 30, "going_on_at": 20}
    ]
    assert consumer.recorded == [LogBreak(TP0, "log_cut", 30, 20)]


async def test_a_partition_whose_records_are_of_another_topic_than_now_is_not_noted(
    raw: ReadTopic, app: Any, consumer: Consumer, database: Database
) -> None:
    consumer.read[TP0] = Position(28, OTHER_ID, 1_270)
    await note(raw, app)
    assert database.noted == {1: at(5, 1_040)}
    consumer.topic_ids = {}
    consumer.read[TP1] = at(9, 1_080)
    await note(raw, app)
    assert database.noted == {1: at(5, 1_040)}, "no assignment yet"


async def test_breaks_are_recorded_in_order_and_those_that_the_database_does_not_take_wait(
    app: Any, consumer: Consumer, database: Database
) -> None:
    consumer.breaks = [LogBreak(TP0, "log_cut", 28, 20), LogBreak(TP1, "topic_made_anew", 5, 0)]
    database.room = 1
    with pytest.raises(Retryable):
        await record_breaks(app, "the pool")  # type: ignore[arg-type]
    assert consumer.recorded == consumer.breaks[:1]
    database.room = 1
    await record_breaks(app, "the pool")  # type: ignore[arg-type]
    assert consumer.recorded == consumer.breaks
    assert database.breaks[1] == {
        "topic": "raw", "partition": 1, "reason": "topic_made_anew", "committed": 5, "going_on_at": 0
    }  # fmt: skip


async def test_each_new_id_of_a_topic_that_fills_the_tables_is_logged_once(
    app: Any, consumer: Consumer, database: Database
) -> None:
    with capture_logs() as logs:
        await record_topics(app, "the pool")  # type: ignore[arg-type]
        consumer.brokers.ids["raw"] = UUID(int=9)
        await record_topics(app, "the pool")  # type: ignore[arg-type]
    names = [name for name in database.topics if name.endswith(".raw")]
    assert [(line["event"], line["topic"], line["id"]) for line in logs] == [
        ("tables_are_of_another_topic", name, str(UUID(int=9))) for name in names
    ]
    assert names
    consumer.brokers.failure = TimeoutError("no answer")
    with pytest.raises(Retryable, match=r"^brokers: TimeoutError: no answer$"):
        await record_topics(app, "the pool")  # type: ignore[arg-type]


class Stored:
    """A stored topic whose database lacks some records."""

    topic = "raw"

    def __init__(self, missing: dict[int, int]) -> None:
        self._missing = missing
        self.asked: list[Progress] = []
        self.forgotten: list[int] = []

    async def missing(self, progress: Progress) -> dict[int, int]:
        self.asked.append(progress)
        return self._missing

    def forget(self, partitions: Iterable[int]) -> None:
        self.forgotten += partitions


@pytest.mark.parametrize("missing", [{}, {1: 3}])
async def test_committed_records_that_the_database_lacks_are_read_again(
    app: Any, consumer: Consumer, missing: dict[int, int]
) -> None:
    stored = Stored(missing)
    await compare_with_database(app, stored)  # type: ignore[arg-type]
    (progress,) = stored.asked
    assert (progress.topic_id, progress.expected) == (TOPIC_ID, {0: 28, 1: 5})
    assert stored.forgotten == list(missing)
    assert consumer.rewinds == ([({TP1: 3}, "database_behind")] if missing else [])


async def test_before_the_first_assignment_nothing_is_compared_with_the_database(app: Any, consumer: Consumer) -> None:
    consumer.topic_ids = {}
    stored = Stored({1: 3})
    await compare_with_database(app, stored)  # type: ignore[arg-type]
    assert (stored.asked, consumer.rewinds) == ([], [])
