"""The state directory of a local stack: its lock, and the file that records what runs where."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import structlog
from pydantic import BaseModel, ValidationError

from signalflow.errors import Fatal
from signalflow.local.private_files import write_private

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LEFTOVER_GRACE = 5.0
# The system computes start times from the time of the boot in whole seconds, which may shift by one.
_START_TIME_TOLERANCE = 2.0


class ProcessId(BaseModel):
    """A process, identified by its process id and its start time, since process ids are reused."""

    name: str
    pid: int
    started: float
    """The start time in epoch seconds, as the system reported it. It jumps whenever the system's clock is set."""
    boot: str = ""
    """The id of the boot of the system; empty where the system has none, or an earlier version recorded the process."""
    since_boot: float = 0.0
    """Seconds from that boot to the start, whatever happens to the clock."""

    @classmethod
    def of(cls, name: str, pid: int) -> "ProcessId":
        """The identity of a running process. Raises psutil.NoSuchProcess when it has ended."""
        process = psutil.Process(pid)
        return cls(name=name, pid=pid, started=process.create_time(), boot=_boot_id(), since_boot=_since_boot(process))

    def find(self) -> psutil.Process | None:
        """The process; None when it has ended, also if another process has its process id now."""
        try:
            process = psutil.Process(self.pid)
            apart = _since_boot(process) - self.since_boot if self.boot else process.create_time() - self.started
            same = self.boot in ("", _boot_id()) and abs(apart) < _START_TIME_TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def _boot_id() -> str:
    """The id that Linux gives to each boot; empty elsewhere."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _since_boot(process: psutil.Process) -> float:
    """Seconds from the boot to the start of a process. Both times jump with the clock, but not their difference."""
    return process.create_time() - psutil.boot_time()


class WorkerStatus(BaseModel):
    """One worker, as `signalflow status --json` shows it."""

    pid: int | None
    web_url: str
    state: str


class ProcessStatus(BaseModel):
    """One process of the stack."""

    name: str
    pid: int | None
    state: str
    address: str


class StackStatus(BaseModel):
    """The answer of `signalflow status --json`."""

    kafka: str
    database_url: str
    """Without its password."""
    api_url: str | None
    simulator_url: str | None
    workers: list[WorkerStatus]
    processes: list[ProcessStatus] = []
    """All processes that the supervisor started, the workers too."""
    proxy: str | None = None
    """Between the poller and Reddit, without its password; None: none."""
    unknown_settings: dict[str, str | None] = {}
    """Variables of the environment that are no settings, each with the setting that was probably meant."""
    unused_settings: dict[str, str] = {}
    """Variables of the environment that have no effect beside the other settings, each with the reason."""
    state_dir: Path


class StackState(BaseModel):
    """The content of state.json. It holds the database's password, so only its owner may read it."""

    supervisor: ProcessId
    phase: Literal["starting", "up", "stopping"]
    children: list[ProcessId]
    status: StackStatus
    settings: dict[str, str] = {}
    """The settings that the stack chose for its parts, so that commands can reach them."""

    def status_now(self) -> StackStatus:
        """The status, with what has ended since it was written: on a full disk nothing newer can be."""
        ended = {child.pid for child in self.children if child.find() is None}
        as_ended = {"state": "ended"}
        return self.status.model_copy(
            update={
                "workers": [one.model_copy(update=as_ended if one.pid in ended else {}) for one in self.status.workers],
                "processes": [
                    one.model_copy(update=as_ended if one.pid in ended else {}) for one in self.status.processes
                ],
            }
        )


@dataclass
class StateDir:
    """The directory of one stack. At most one supervisor holds its lock."""

    path: Path
    _lock: int | None = None

    @property
    def _file(self) -> Path:
        return self.path / "state.json"

    @property
    def logs(self) -> Path:
        """The directory of the parts' log files."""
        return self.path / "logs"

    def lock(self) -> None:
        """Lock the directory until this process ends. Raises Fatal when another stack runs in it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Fatal(
                f"{self.path} cannot be used as state directory: {error.strerror}; give another with --state-dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            state = self.read()
            who = f" (process {state.supervisor.pid})" if state else ""
            raise Fatal(
                f"a stack already runs in {self.path}{who}: `signalflow status` shows it, `signalflow down` stops it;"
                " for a second one give --state-dir and --port-base"
            ) from None
        self._lock = descriptor

    def unlock(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> StackState | None:
        """The last state that was written, or None. Its supervisor may have ended since.

        Raises Fatal when the directory may not be read.
        """
        try:
            return StackState.model_validate_json(self._file.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None
        except OSError as error:
            raise Fatal(f"{self._file} cannot be read: {error.strerror}; give another with --state-dir") from error

    def running(self) -> StackState | None:
        """The state of the stack that runs here now; None when none runs."""
        state = self.read()
        return state if state is not None and state.supervisor.find() is not None else None

    def write(self, state: StackState) -> None:
        """Replace the state. Raises Fatal when it cannot be written."""
        try:
            write_private(self._file, state.model_dump_json(indent=1))
        except OSError as error:
            raise Fatal(f"{self._file} cannot be written: {error.strerror}") from error

    def forget(self) -> None:
        """Remove the state, after everything has stopped."""
        self._file.unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """End the processes that a killed supervisor left running, found by recorded process id and start time."""
        state = self.read()
        if state is None:
            return
        left = [process for child in state.children if (process := child.find()) is not None]
        for process in left:
            structlog.get_logger().warning("leftover_process_ended", pid=process.pid)
            process.terminate()
        for process in psutil.wait_procs(left, timeout=_LEFTOVER_GRACE)[1]:
            process.kill()
        psutil.wait_procs(left, timeout=_LEFTOVER_GRACE)
        self.forget()
