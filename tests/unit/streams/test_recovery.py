"""Before a recovery, local state that does not fit its changelog is wiped, and is then restored from the beginning."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.manager import TableManager
from faust.types import TP

from signalflow.domain.backoff import Backoff
from signalflow.errors import Retryable
from signalflow.settings import Settings
from signalflow.streams import recovery as recovery_module
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.recovery import SuspendingRecovery, local_states
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state

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
    recovery.active_offsets.update({LOG0: 5, LOG1: 5})
    consumer: Any = SimpleNamespace(highwaters=highwaters)
    await recovery._build_highwaters(consumer, {LOG0, LOG1, OTHER}, recovery.active_highwaters, "active")
    assert recovery.active_highwaters == {LOG0: 9, LOG1: 9, OTHER: 9}
    assert state.fitted == [("id of log", {0: 9, 1: 9})]
    assert (recovery.active_offsets[LOG0], recovery.active_offsets[LOG1]) == (5, None)
    await recovery._build_highwaters(consumer, set(), recovery.standby_highwaters, "standby")
    assert len(state.fitted) == 1, "a table that has no partition here keeps its stores"


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
