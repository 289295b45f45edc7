"""The installation that a command or a worker works on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalflow.application import _worker_settings
from signalflow.cli.installation import installation_settings, work_on
from signalflow.errors import Fatal, Retryable
from signalflow.local.state import ProcessId, StackState, StackStatus, StateDir
from signalflow.settings import get_settings

DATABASE = "postgresql://signalflow:secret@127.0.0.1:9402/signalflow"
DECIDED = {"kafka": "127.0.0.1:9403", "database_url": DATABASE, "topic_replication": "3"}


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in list(os.environ):
        if name.startswith("SIGNALFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIGNALFLOW_STATE_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    work_on(None)
    get_settings.cache_clear()


def running_stack(path: Path) -> None:
    """A stack whose supervisor is this process."""
    status = StackStatus(
        kafka=DECIDED["kafka"], database_url=DATABASE, api_url=None, simulator_url=None, workers=[], state_dir=path
    )
    supervisor = ProcessId.of("supervisor", os.getpid())
    StateDir(path).write(
        StackState(
            supervisor=supervisor, phase="up", children=[], status=status, settings=DECIDED | {"state_dir": str(path)}
        )
    )


def test_a_command_finds_the_stack_that_runs_in_the_state_directory(state_dir: Path) -> None:
    running_stack(state_dir)
    settings = installation_settings()
    assert (settings.kafka, settings.topic_replication) == ("127.0.0.1:9403", 3)
    assert settings.database_url.get_secret_value() == DATABASE


def test_a_directory_that_is_given_wins_over_the_environment(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state_dir / "given").mkdir()
    running_stack(state_dir / "given")
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", "postgresql://production@db/x")
    monkeypatch.setenv("SIGNALFLOW_KAFKA", "broker:9092")
    work_on(state_dir / "given")
    settings = installation_settings()
    assert settings.database_url.get_secret_value() == DATABASE
    assert settings.kafka == DECIDED["kafka"]


def test_a_directory_that_is_given_must_have_a_stack_that_runs(state_dir: Path) -> None:
    running_stack(state_dir)
    work_on(state_dir / "other")
    with pytest.raises(Retryable, match=r"no stack runs in .*/other"):
        installation_settings()


def test_without_a_stack_only_the_environment_counts(state_dir: Path) -> None:
    assert installation_settings() == get_settings()


@pytest.mark.parametrize("name", ["KAFKA", "DATABASE_URL"])
def test_an_installation_that_the_environment_names_is_never_mixed_with_a_stack(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    running_stack(state_dir)
    monkeypatch.setenv(
        f"SIGNALFLOW_{name}", "postgresql://production@db/x" if name == "DATABASE_URL" else "broker:9092"
    )
    get_settings.cache_clear()
    settings = installation_settings()
    assert settings.kafka != DECIDED["kafka"]
    assert settings.database_url.get_secret_value() != DATABASE


def test_other_settings_of_the_environment_win_over_the_stack(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running_stack(state_dir)
    monkeypatch.setenv("SIGNALFLOW_TOPIC_REPLICATION", "1")
    get_settings.cache_clear()
    assert installation_settings().topic_replication == 1


def test_a_worker_uses_the_local_stack_only_when_it_is_asked_to(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_stack(state_dir)
    assert _worker_settings() == get_settings()
    monkeypatch.setenv("SIGNALFLOW_JOIN_LOCAL_STACK", "true")
    get_settings.cache_clear()
    assert _worker_settings().kafka == DECIDED["kafka"]


def test_a_worker_that_is_to_join_a_stack_that_does_not_run_says_so(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALFLOW_JOIN_LOCAL_STACK", "true")
    get_settings.cache_clear()
    with pytest.raises(Fatal, match="SIGNALFLOW_JOIN_LOCAL_STACK is on, but no stack runs in"):
        _worker_settings()
