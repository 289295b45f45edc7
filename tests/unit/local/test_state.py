"""The state directory: one stack at a time; what a killed stack left is ended, and no other process."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from signalflow.errors import Fatal
from signalflow.local.state import ProcessId, StackState, StackStatus, StateDir


def state_of(supervisor: ProcessId, children: list[ProcessId], path: Path) -> StackState:
    status = StackStatus(
        kafka="127.0.0.1:1",
        database_url="postgresql://u:secret@h/d",
        api_url=None,
        simulator_url=None,
        workers=[],
        state_dir=path,
    )
    return StackState(supervisor=supervisor, phase="up", children=children, status=status)


@pytest.fixture
def sleeper() -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def test_a_second_stack_in_the_same_directory_is_refused_with_what_to_do(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path), StateDir(tmp_path)
    first.lock()
    with pytest.raises(Fatal, match=r"already runs.*--state-dir"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_processes_left_by_a_killed_supervisor_are_ended(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    directory = StateDir(tmp_path)
    child = ProcessId.of("worker-1", sleeper.pid)
    gone = ProcessId(name="supervisor", pid=sleeper.pid, started=1.0)
    directory.write(state_of(gone, [child], tmp_path))
    directory.end_leftovers()
    assert sleeper.poll() is not None
    assert directory.read() is None


def test_a_process_that_got_a_recorded_process_id_later_is_not_ended(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    directory = StateDir(tmp_path)
    another = ProcessId(name="worker-1", pid=sleeper.pid, started=psutil.Process(sleeper.pid).create_time() - 3600)
    directory.write(state_of(another, [another], tmp_path))
    assert directory.running() is None
    directory.end_leftovers()
    assert sleeper.poll() is None


def test_the_state_which_holds_a_password_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    directory = StateDir(tmp_path)
    directory.write(state_of(ProcessId(name="supervisor", pid=1, started=1.0), [], tmp_path))
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_a_process_is_found_after_the_clock_was_set(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system computes times of starts and of the boot from its clock, so all of them jump with it."""
    recorded = ProcessId.of("worker-1", sleeper.pid)
    create_time, boot_time = psutil.Process.create_time, psutil.boot_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + 3600)
    found = recorded.find()
    assert found is not None
    assert found.pid == sleeper.pid


@pytest.mark.parametrize("change", [{"since_boot": 1.0}, {"boot": "another"}])
def test_a_process_of_another_time_or_of_another_boot_is_not_found(
    sleeper: "subprocess.Popen[bytes]", change: dict[str, object]
) -> None:
    recorded = ProcessId.of("worker-1", sleeper.pid)
    assert recorded.model_copy(update=change).find() is None


def test_a_process_that_an_earlier_version_recorded_is_found(sleeper: "subprocess.Popen[bytes]") -> None:
    recorded = ProcessId(name="worker-1", pid=sleeper.pid, started=psutil.Process(sleeper.pid).create_time())
    assert recorded.find() is not None
