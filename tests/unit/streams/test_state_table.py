"""The decisions of the state table, on a dictionary (test_path_state_table.py uses a real RocksDB)."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from signalflow.domain.observations import Observation, PostState
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.producer import Span
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings
from signalflow.streams import state_table as state_table_module
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.state_table import StateTable
from signalflow.streams.workspace import claim_workspace
from tables.post_state import PostStateCodec, create_post_state, encode_state
from tests.unit.streams.fakes import Record
from tests.waiting import until

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
def stored(tmp_path: Path) -> StateTable:
    """A table with a real RocksDB, whose brokers are away."""
    settings = Settings(kafka="127.0.0.1:9", state_dir=tmp_path, worker_name="w1")
    return create_post_state(create_faust_app(Application, settings, claim_workspace(settings)), settings)


@pytest.fixture
def table(stored: StateTable, database: dict[bytes, Any], monkeypatch: pytest.MonkeyPatch) -> StateTable:
    """A table on a dictionary, which never opens its RocksDB."""
    stored.app = App()
    topic = SimpleNamespace(get_topic_name=lambda: "log")
    monkeypatch.setattr(StateTable, "changelog_topic", topic)

    def offset_reached(self: Any, partition: int) -> int:
        assert partition == 0
        return int(database[b"offset"])

    def read(self: Any, partition: int, keys: Any) -> dict[bytes, bytes | None]:
        assert partition == 0
        return {key: database.get(key) for key in keys}

    monkeypatch.setattr(StateTable, "offset_reached", offset_reached)
    monkeypatch.setattr(StateTable, "read", read)

    def put(self: Any, partition: int, values: Any, offset: int) -> None:
        assert partition == 0
        database.update(values)
        database[b"offset"] = str(offset).encode()

    monkeypatch.setattr(StateTable, "_put", put)
    return stored


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


async def test_both_steps_of_a_write_are_timed_as_those_of_its_agent(
    table: StateTable, database: dict[bytes, bytes]
) -> None:
    def timed() -> dict[str, float | None]:
        name = "signalflow_unit_of_work_step_seconds_count"
        return {
            step: REGISTRY.get_sample_value(name, {"agent": "enrich", "step": step}) for step in ("changelog", "store")
        }

    changelog = Changelog()
    changelog.database = database
    await table.write(changelog, {0: {b"k": THEIRS}})  # type: ignore[arg-type]
    before = timed()
    await table.write(changelog, {0: {b"k": MINE}})  # type: ignore[arg-type]
    assert timed() == {step: (count or 0) + 1 for step, count in before.items()}


def changelog_message(
    offset: int, value: bytes | None, generation: int = App.consumer_generation_id, timestamp: float = 0.0
) -> Any:
    """A record of the changelog as Faust delivers it; its timestamp is in seconds."""
    message = SimpleNamespace(partition=0, offset=offset, key=b"k", value=value, generation_id=generation)
    message.timestamp = timestamp
    return message


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
    app: Any = table.app
    await until(lambda: app.crashed)
    assert [type(error) for error in app.crashed] == [Fatal]


async def test_a_recovery_that_cannot_write_the_local_state_ends_the_worker_instead_of_waiting_for_ever(
    table: StateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise Retryable("the disk is full")

    monkeypatch.setattr(StateTable, "_put", full)
    with pytest.raises(Retryable):
        table.apply_changelog_batch([SimpleNamespace(message=changelog_message(10, THEIRS))])
    app: Any = table.app
    await until(lambda: app.crashed)
    assert [type(error) for error in app.crashed] == [Retryable]


@pytest.fixture
def log_of_others(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """What stands in the changelog between the local state and our own record."""
    records: list[Record] = []

    async def read_range(settings: Settings, topic: str, partition: int, first: int, last: int) -> list[Record]:
        assert (settings, topic, partition) == (Jumped.settings, "log", 0)
        return [record for record in records if first <= record.offset <= last]

    monkeypatch.setattr(state_table_module, "read_range", read_range)
    return records


class Jumped(Changelog):
    """A changelog in which another worker wrote offset 10, so that our next record has offset 11."""

    def __init__(self) -> None:
        super().__init__()
        self.end = 11
        self.sent: list[tuple[str, dict[int, list[tuple[bytes | None, bytes | None]]]]] = []

    async def send(self, topic: str, batches: Any) -> Any:
        self.sent.append((topic, {p: [(each.key, each.value) for each in some] for p, some in batches.items()}))
        [(partition, records)] = batches.items()
        first, self.end = self.end, self.end + len(records)
        return {partition: [Span(first, self.end - 1, 0)]}


async def test_a_jump_is_merged_written_back_and_closed(
    table: StateTable, database: dict[bytes, bytes], log_of_others: list[Record]
) -> None:
    """The other worker knew one observation that we did not; compaction keeps only the last record of the key."""
    others = encode_state(PostState(0, 0, (Observation(9_000_000, 9, 0),)))
    union = PostStateCodec(Settings()).merge(MINE, others)
    log_of_others += [Record(10, key=b"k", value=others), Record(11, key=b"k", value=MINE), Record(99, key=b"x")]
    changelog, before = Jumped(), REGISTRY.get_sample_value("signalflow_changelog_jumps_total") or 0.0
    with capture_logs() as logged:
        await table.write(changelog, {0: {b"k": MINE}})  # type: ignore[arg-type]
    assert changelog.sent == [("log", {0: [(b"k", MINE)]}), ("log", {0: [(b"k", union)]})]
    assert (database[b"k"], int(database[b"offset"])) == (union, 12)
    assert REGISTRY.get_sample_value("signalflow_changelog_jumps_total") == before + 1
    place = {"topic": "log", "partition": 0, "first": 10, "upto": 11}
    assert logged == [{"event": "changelog_jump", "log_level": "warning", **place}]


async def test_a_jump_over_records_that_change_nothing_writes_nothing_back(
    table: StateTable, database: dict[bytes, bytes], log_of_others: list[Record]
) -> None:
    log_of_others += [Record(10, key=None, value=b"no state"), Record(11, key=b"k", value=MINE)]
    changelog = Jumped()
    await table.write(changelog, {0: {b"k": MINE}})  # type: ignore[arg-type]
    assert len(changelog.sent) == 1
    assert (database[b"k"], int(database[b"offset"])) == (MINE, 11)


async def test_a_jump_that_cannot_be_read_stays_open_for_the_next_batch(
    table: StateTable, database: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: Any) -> list[Any]:
        raise Retryable("brokers away")

    monkeypatch.setattr(state_table_module, "read_range", away)
    with capture_logs() as logged:
        await table.write(Jumped(), {0: {b"k": THEIRS}})  # type: ignore[arg-type]
    assert (database[b"k"], int(database[b"offset"])) == (THEIRS, 9)
    assert logged[1:] == [
        {
            "event": "changelog_jump_left_open",
            "log_level": "warning",
            "topic": "log",
            "partition": 0,
            "error": "brokers away",
        }
    ]


async def test_records_without_a_break_close_no_jump(table: StateTable, database: dict[bytes, bytes]) -> None:
    await table.write(Changelog(), {0: {b"k": THEIRS, b"other": MINE}})  # type: ignore[arg-type]
    assert (database[b"other"], int(database[b"offset"])) == (MINE, 11)


async def test_a_batch_that_changes_no_state_sends_nothing(table: StateTable, database: dict[bytes, bytes]) -> None:
    changelog = Changelog()
    await table.write(changelog, {0: {}})  # type: ignore[arg-type]
    assert changelog.before == []
    assert int(database[b"offset"]) == 9


def test_a_tombstone_removes_only_a_state_that_had_expired_when_it_was_written(table: StateTable) -> None:
    """The post was created at the epoch, and its state is kept for 48 hours."""
    expires_ms = 48 * 3_600_000
    assert table._merged(MINE, None, expires_ms - 1_000) == MINE
    assert table._merged(MINE, None, expires_ms + 1_000) is None
    assert table._merged(None, None, 0) is None
    assert table._merged(None, THEIRS, 0) == THEIRS


# MINE is of a post that was created at the epoch, and is kept for 48 hours.
KEPT_SECONDS = 48 * 3600


@pytest.mark.parametrize(("second", "left"), [(KEPT_SECONDS - 1, MINE), (KEPT_SECONDS + 1, None)])
def test_a_recovery_compares_a_tombstone_with_the_time_at_which_it_was_written(
    table: StateTable, database: dict[bytes, bytes], second: int, left: bytes | None
) -> None:
    message = changelog_message(10, None, timestamp=float(second))
    table.apply_changelog_batch([SimpleNamespace(message=message)])
    assert database[b"k"] == left


@pytest.mark.parametrize(("second", "left"), [(KEPT_SECONDS - 1, MINE), (KEPT_SECONDS + 1, None)])
async def test_a_jump_compares_a_tombstone_with_the_time_at_which_it_was_written(
    table: StateTable, database: dict[bytes, bytes], log_of_others: list[Record], second: int, left: bytes | None
) -> None:
    log_of_others += [Record(10, key=b"k", value=None, timestamp=second * 1000)]
    await table.write(Jumped(), {0: {b"other": MINE}})  # type: ignore[arg-type]
    assert database[b"k"] == left


async def test_what_is_put_is_read_by_partition_and_none_is_a_deletion(stored: StateTable) -> None:
    assert (stored.offset_reached(0), stored.read(0, [])) == (-1, {})
    stored._put(0, {b"a": MINE, b"b": THEIRS}, 7)
    stored._put(1, {b"a": THEIRS}, 3)
    assert stored.read(0, [b"b", b"a", b"c"]) == {b"a": MINE, b"b": THEIRS, b"c": None}
    assert (stored.offset_reached(0), stored.offset_reached(1)) == (7, 3)
    stored._put(0, {b"a": None}, 8)
    assert stored.read(0, [b"a", b"b"]) == {b"a": None, b"b": THEIRS}
    stored._put(0, {b"d": MINE}, -1)
    assert stored.offset_reached(0) == 8, "nothing of the changelog is known yet"
    stored._put(1, {}, 0)
    assert stored.offset_reached(1) == 0


# What RocksDB said on a disk that was full, until five seconds after there was room again.
FULL = "IO error: No space left on device: While appending to file: db/000029.log: No space left on device"


@pytest.mark.parametrize(
    ("said", "raised"), [(FULL, Retryable), ("IO error: Disk quota exceeded", Retryable), ("Corruption: bad", OSError)]
)
async def test_a_state_that_the_full_disk_does_not_take_is_written_again(
    stored: StateTable, monkeypatch: pytest.MonkeyPatch, said: str, raised: type[Exception]
) -> None:
    class Full:
        def write(self, batch: Any) -> None:
            raise OSError(said)

    with monkeypatch.context() as patched:
        patched.setattr(stored.data, "_db_for_partition", lambda partition: Full())
        with pytest.raises(raised):
            stored._put(0, {b"a": MINE}, 7)
    stored._put(0, {b"a": MINE}, 7)
    assert (stored.offset_reached(0), stored.read(0, [b"a"])) == (7, {b"a": MINE})


async def test_expired_states_are_found_up_to_the_limit_and_in_their_partition(stored: StateTable) -> None:
    young = encode_state(PostState(10**15, 0, ()))
    stored._put(0, {b"a": MINE, b"b": young, b"c": MINE, b"d": MINE}, 5)
    stored._put(1, {b"e": MINE}, 5)
    now_us = 10**15
    assert stored.expired_keys(0, now_us, 10) == [b"a", b"c", b"d"]
    assert stored.expired_keys(0, now_us, 2) == [b"a", b"c"]
    assert stored.expired_keys(1, now_us, 10) == [b"e"]
    assert stored.expired_keys(0, 0, 10) == []
