"""The state directory of a local stack: its lock, and the file that says what runs where."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import structlog
from pydantic import BaseModel, ValidationError

from signalflow.errors import Fatal

_LEFTOVER_GRACE = 5.0
# Start times are derived from the clock of the boot, and shift a little when it is adjusted.
_START_TIME_TOLERANCE = 2.0


class ProcessId(BaseModel):
    """A process, recognisable after its number was given to another."""

    name: str
    pid: int
    started: float
    """Seconds since the epoch, as the system reports it."""

    @classmethod
    def of(cls, name: str, pid: int) -> "ProcessId":
        """Raises psutil.NoSuchProcess when it is gone already."""
        return cls(name=name, pid=pid, started=psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The living process, or None when it is gone, or another has its number."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TIME_TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class WorkerStatus(BaseModel):
    """One worker, as `signalflow status --json` shows it."""

    pid: int | None
    web_url: str
    state: str


class StackStatus(BaseModel):
    """The answer of `signalflow status --json`."""

    kafka: str
    database_url: str
    """Without its password."""
    api_url: str | None
    simulator_url: str | None
    workers: list[WorkerStatus]
    state_dir: Path


class StackState(BaseModel):
    """The content of state.json. It holds the database's password, so only its owner may read it."""

    supervisor: ProcessId
    phase: Literal["starting", "up", "stopping"]
    children: list[ProcessId]
    status: StackStatus
    settings: dict[str, str] = {}
    """What the stack decided for its parts, so that commands find it."""


@dataclass
class StateDir:
    """The directory of one stack. Two supervisors never hold the same one."""

    path: Path
    _lock: int | None = None

    @property
    def _file(self) -> Path:
        return self.path / "state.json"

    @property
    def logs(self) -> Path:
        """Where the log files of the parts are."""
        return self.path / "logs"

    def lock(self) -> None:
        """Take the directory for this process, until it ends. Raises Fatal when another stack runs in it."""
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
        """Give the directory back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> StackState | None:
        """The last state that was written, or None. Its supervisor may be dead by now."""
        try:
            return StackState.model_validate_json(self._file.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None

    def running(self) -> StackState | None:
        """The state of the stack that runs here now, or None."""
        state = self.read()
        return state if state is not None and state.supervisor.find() is not None else None

    def write(self, state: StackState) -> None:
        """Replace the state in one step: a reader sees the old one or the new one."""
        new = self._file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(state.model_dump_json(indent=1))
        new.replace(self._file)

    def forget(self) -> None:
        """Remove the state: nothing runs any more."""
        self._file.unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """End what a killed supervisor left running. Only processes whose number and start time are the recorded ones."""
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
