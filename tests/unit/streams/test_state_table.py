"""The decisions of the state table, on a dictionary (test_path_state_table.py uses a real RocksDB)."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.domain.observations import Observation, PostState
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.producer import Span
from signalflow.settings import Settings
from signalflow.streams import state_table as state_table_module
from signalflow.streams.state_table import StateTable
from tables.post_state import PostStateCodec, encode_state
from tests.unit.streams.fakes import Record

RING = [Observation(t * 1_000_000, t, 0) for t in range(1, 4)]
MINE, THEIRS = encode_state(PostState(0, 0, tuple(RING))), encode_state(PostState(0, 0, tuple(RING[:1])))


class App:
    consumer_generation_id = 3

    def __init__(self) -> None:
        self.crashed: list[BaseException] = []

    async def crash(self, error: BaseException) -> None:
        self.crashed.append(error)


@pytest.fixture
def database() -> dict[bytes, bytes]:
    return {b"k": MINE, b"offset": b"9"}


@pytest.fixture
def table(database: dict[bytes, Any], monkeypatch: pytest.MonkeyPatch) -> StateTable:
    made = StateTable.__new__(StateTable)
    made._write_lock = asyncio.Lock()
    made.codec = PostStateCodec(48)
    made.app = App()
    topic = SimpleNamespace(get_topic_name=lambda: "log")
    monkeypatch.setattr(StateTable, "changelog_topic", topic)
    monkeypatch.setattr(StateTable, "offset_reached", lambda self, p: int(database[b"offset"]))
    monkeypatch.setattr(StateTable, "read", lambda self, p, keys: {key: database.get(key) for key in keys})

    def put(self: Any, partition: int, values: Any, offset: int) -> None:
        database.update(values)
        database[b"offset"] = str(offset).encode()

    monkeypatch.setattr(StateTable, "_put", put)
    return made


async def test_the_offset_does_not_pass_a_jump_before_the_unions_are_confirmed(
    table: StateTable, database: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a later restore from the compacted changelog finds only the other worker's older state."""

    async def read_range(*args: Any) -> list[Any]:
        return [Record(10, key=b"k", value=THEIRS)]

    monkeypatch.setattr(state_table_module, "read_range", read_range)

    class Producer:
        settings = Settings()

        async def send(self, topic: str, batches: Any) -> Any:
            raise Retryable("away")

    with pytest.raises(Retryable):
        await table._close_jump(Producer(), 0, [Span(11, 11, 0)])  # type: ignore[arg-type]
    assert int(database[b"offset"]) == 9


class Changelog:
    """A producer in whose changelog the next record has offset 10."""

    settings = Settings()

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.before: list[dict[bytes, bytes]] = []
        self.database: dict[bytes, bytes] = {}

    async def send(self, topic: str, batches: Any) -> Any:
        self.before.append(dict(self.database))
        if self.failure:
            raise self.failure
        return {partition: [Span(10, 10 + len(records) - 1, 0)] for partition, records in batches.items()}


async def test_a_failed_changelog_send_leaves_the_local_state_unchanged_and_is_repeated(
    table: StateTable, database: dict[bytes, bytes]
) -> None:
    """Faust writes the local state first and only logs the failure, so a later owner restores an older state."""
    before, changelog = dict(database), Changelog()
    changelog.failure = Retryable("brokers away")
    with pytest.raises(Retryable):
        await table.write(changelog, {0: {b"k": THEIRS}})  # type: ignore[arg-type]
    assert database == before
    changelog.failure = None
    await table.write(changelog, {0: {b"k": THEIRS}})  # type: ignore[arg-type]
    assert (database[b"k"], int(database[b"offset"])) == (THEIRS, 10)


async def test_local_state_is_never_ahead_of_its_changelog(table: StateTable, database: dict[bytes, bytes]) -> None:
    """Otherwise a crash between the two writes leaves a state that a redelivery would count a second time."""
    changelog = Changelog()
    changelog.database = database
    await table.write(changelog, {0: {b"k": THEIRS}})  # type: ignore[arg-type]
    assert changelog.before == [{b"k": MINE, b"offset": b"9"}]


def changelog_message(offset: int, value: bytes, generation: int = App.consumer_generation_id) -> Any:
    return SimpleNamespace(partition=0, offset=offset, key=b"k", value=value, timestamp=0.0, generation_id=generation)


def test_a_changelog_record_of_an_earlier_assignment_does_not_advance_the_offset(
    table: StateTable, database: dict[bytes, bytes]
) -> None:
    table.apply_changelog_batch([SimpleNamespace(message=changelog_message(500, THEIRS, generation=2))])
    assert int(database[b"offset"]) == 9, "records 10 to 499 were never applied"
    table.apply_changelog_batch([SimpleNamespace(message=changelog_message(10, THEIRS))])
    assert int(database[b"offset"]) == 10


async def test_a_state_of_an_unknown_version_stops_the_worker_instead_of_blocking_recovery(
    table: StateTable,
) -> None:
    message = changelog_message(10, b"\x02" + THEIRS[1:])
    with pytest.raises(Fatal, match="version 2"):
        table.apply_changelog_batch([SimpleNamespace(message=message)])
    await asyncio.sleep(0)
    app: Any = table.app
    assert [type(error) for error in app.crashed] == [Fatal]
