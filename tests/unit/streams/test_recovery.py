"""Before a recovery, local state that does not fit its changelog is wiped, and is then restored from the beginning."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from signalflow.domain.backoff import Backoff
from signalflow.domain.observations import Observation, PostState
from signalflow.errors import Retryable
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings
from signalflow.streams import recovery as recovery_module
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.recovery import SuspendingRecovery, local_states
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state, encode_state
from tests.waiting import until

STATE = encode_state(PostState(0, 0, (Observation(1_000_000, 1, 0),)))
LOG0, LOG1, OTHER = TP("log", 0), TP("log", 1), TP("other", 0)


class State:
    """Local state of which partition 1 does not fit."""

    def __init__(self) -> None:
        self.fitted: list[tuple[str, dict[int, int]]] = []
        self.checked: list[int] = []

    def fit(self, identity: str, ends: Mapping[int, int]) -> set[int]:
        self.fitted.append((identity, dict(ends)))
        return {1} & ends.keys()

    async def wipe_unreadable(self, partitions: Iterable[int]) -> None:
        self.checked += partitions


@pytest.fixture
def app(tmp_path: Path) -> Application:
    settings = Settings(state_dir=tmp_path, worker_name="w1")
    return create_faust_app(Application, settings, claim_workspace(settings))


@pytest.fixture
def state(app: Application, monkeypatch: pytest.MonkeyPatch) -> State:
    made = State()
    monkeypatch.setattr(recovery_module, "local_states", {app: [("log", made)]}.__getitem__)
    return made


async def test_a_store_that_does_not_fit_its_changelog_is_restored_from_the_beginning(
    app: Application, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changelog_identity(settings: Settings, changelog: str) -> str:
        assert settings is app.settings
        return f"id of {changelog}"

    async def highwaters(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 10)

    monkeypatch.setattr(recovery_module, "changelog_identity", changelog_identity)
    recovery = SuspendingRecovery(app, app.tables)
    consumer: Any = SimpleNamespace(highwaters=highwaters)
    await recovery._build_highwaters(consumer, {LOG0, LOG1, OTHER}, recovery.active_highwaters, "active")
    assert recovery.active_highwaters == {LOG0: 9, LOG1: 9, OTHER: 9}
    assert state.fitted == [("id of log", {0: 9, 1: 9})]
    await recovery._build_highwaters(consumer, set(), recovery.standby_highwaters, "standby")
    assert len(state.fitted) == 1, "a table that has no partition here keeps its stores"


class Restored:
    """A recovery of partition 0 of a table, without brokers: its changelog ends at `end`, and begins at 0."""

    def __init__(self, app: Application) -> None:
        self.app, self.end = app, 3
        self.table = create_post_state(app, app.settings)
        self.tp = TP(self.table.changelog_topic.get_topic_name(), 0)
        app.assignor.assigned_actives = lambda: {self.tp}
        self.recovery = SuspendingRecovery(app, app.tables)
        self.sought: list[dict[TP, int]] = []

    async def assigned(self, generation: int) -> None:
        """Another generation begins; the partition stays here."""
        self.app.consumer_generation_id = generation
        await self.recovery.on_rebalance({self.tp}, set(), {self.tp}, generation)

    async def begins(self) -> None:
        """The steps of a recovery up to its seek."""
        recovery: Any = self.recovery
        recovery._set_recovery_started()
        recovery.flush_buffers()
        await Recovery._build_highwaters(recovery, self._consumer(), {self.tp}, recovery.active_highwaters, "active")
        await recovery._build_offsets(self._consumer(), {self.tp}, recovery.active_offsets, "active")
        await recovery._seek_offsets(self._consumer(), {self.tp}, recovery.active_offsets, "active")

    def _consumer(self) -> Any:
        async def highwaters(*tps: TP) -> dict[TP, int]:
            return dict.fromkeys(tps, self.end)

        async def earliest_offsets(*tps: TP) -> dict[TP, int]:
            return dict.fromkeys(tps, 0)

        async def seek_wait(offsets: dict[TP, int]) -> None:
            self.sought.append(offsets)

        return SimpleNamespace(highwaters=highwaters, earliest_offsets=earliest_offsets, seek_wait=seek_wait)

    def fetch(self, *offsets: int, generation: int) -> None:
        """Records of the changelog arrive in Faust's queue."""
        for offset in offsets:
            message = SimpleNamespace(
                tp=self.tp, partition=0, offset=offset, key=b"k%d" % offset, value=STATE, timestamp=0.0,
                generation_id=generation,
            )  # fmt: skip
            self.app.tables.changelog_queue.put_nowait(SimpleNamespace(message=message))

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Faust's task takes records from the queue."""
        task = asyncio.create_task(self.recovery._slurp_changelogs.fun(self.recovery))
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture
async def restored(app: Application) -> Restored:
    return Restored(app)


async def test_what_a_rebalance_drops_of_a_changelog_is_read_again(restored: Restored) -> None:
    """Faust counted it as restored when the store was empty: the next batch met posts without a state."""
    restored.end = 10
    await restored.assigned(5)
    await restored.begins()
    async with restored.reading():
        restored.fetch(0, 1, 2, generation=5)
        await until(lambda: restored.app.tables.changelog_queue.empty(), "the records are taken")
        # The flow stops, and what was buffered is of an earlier generation now.
        await restored.assigned(6)
        await restored.begins()
    assert restored.table.offset_reached(0) == -1
    assert restored.sought == [{restored.tp: 0}, {restored.tp: 0}]


async def test_a_recovery_tells_how_many_records_it_applied_and_how_long_it_took_from_its_first_assignment(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def completed(self: Recovery, generation_id: int = 0) -> None:
        """Faust's own part, which needs brokers."""

    async def rebalanced(self: TableManager, *_: Any) -> None:
        """Faust's own part, which is in `assigned`."""

    monkeypatch.setattr(Recovery, "on_recovery_completed", completed)
    monkeypatch.setattr(TableManager, "on_rebalance", rebalanced)
    times = iter([100.0, 130.5])
    monkeypatch.setattr(recovery_module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    tables, recovery, app = restored.app.tables, restored.app.tables.recovery, restored.app
    value = REGISTRY.get_sample_value
    before = value("signalflow_table_records_restored_total") or 0.0
    told = value("signalflow_table_restore_seconds")
    for generation in (5, 6):
        await restored.assigned(generation)
        await tables.on_rebalance({restored.tp}, set(), {restored.tp}, generation)
    restored.table.apply_changelog_batch(
        [
            SimpleNamespace(message=SimpleNamespace(
                partition=0, offset=offset, key=b"k%d" % offset, value=STATE, timestamp=0.0, generation_id=6
            ))
            for offset in range(3)
        ]
    )  # fmt: skip
    await recovery.on_recovery_completed(5)
    assert value("signalflow_table_restore_seconds") == told, "another recovery has begun"
    await recovery.on_recovery_completed(app.consumer_generation_id)
    assert value("signalflow_table_restore_seconds") == 30.5
    assert value("signalflow_table_records_restored_total") == before + 3
    assert restored.table.entries() == 3


async def test_a_record_of_an_earlier_generation_does_not_hide_the_ones_before_it(restored: Restored) -> None:
    await restored.assigned(5)
    await restored.assigned(6)
    await restored.begins()
    recovery = restored.recovery
    async with restored.reading():
        restored.fetch(2, generation=5)
        restored.fetch(0, 1, 2, generation=6)
        await until(lambda: not recovery.need_recovery() and not recovery.in_recovery, "the end of the recovery")
    keys = [b"k0", b"k1", b"k2"]
    assert restored.table.read(0, keys) == dict.fromkeys(keys, STATE)


async def test_a_recovery_waits_for_kafka_to_tell_whose_changelog_it_is(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Retryable("away"), Retryable("away"), "id"])
    failures: list[int] = []

    async def changelog_identity(settings: Settings, changelog: str) -> str:
        answer = next(answers)
        if isinstance(answer, Retryable):
            raise answer
        return answer

    def after(failed: int) -> float:
        failures.append(failed)
        return Backoff(first=0, most=0).after(failed)

    monkeypatch.setattr(recovery_module, "changelog_identity", changelog_identity)
    monkeypatch.setattr(recovery_module, "WHILE_AWAY", SimpleNamespace(after=after))
    assert await SuspendingRecovery(app, app.tables)._identity("log") == "id"
    assert failures == [1, 2]


async def test_stores_that_are_assigned_are_checked_before_faust_opens_them(
    app: Application, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Any, ...]] = []

    async def on_rebalance(self: TableManager, *given: Any) -> None:
        opened.append((list(state.checked), *given))

    monkeypatch.setattr(TableManager, "on_rebalance", on_rebalance)
    await app.tables.on_rebalance({LOG1, OTHER}, {LOG0}, {LOG1}, 7)
    assert opened == [([1], {LOG1, OTHER}, {LOG0}, {LOG1}, 7)]


def test_the_local_state_of_a_table_is_in_the_workers_directory(app: Application) -> None:
    table = create_post_state(app, app.settings)
    [(changelog, state)] = local_states(app)
    assert changelog == table.changelog_topic.get_topic_name()
    assert (state._stores, state._recorded.is_relative_to(app.workspace.path)) == (table.data, True)


def test_the_table_manager_has_one_recovery(app: Application) -> None:
    assert isinstance(app.tables.recovery, SuspendingRecovery)
    assert app.tables.recovery is app.tables.recovery
