"""A worker's directory on disk. It holds RocksDB and belongs to one process."""

import fcntl
import os
import re
import socket
from hashlib import blake2b
from pathlib import Path

from signalflow.errors import Fatal
from signalflow.settings import Settings

MAX_WORKERS_ON_A_MACHINE = 64


class Workspace:
    """The directory of one worker on this machine. `slot` counts from 0. `name` is unique in the installation.

    `lock` is an open descriptor of the file `lock` in the directory. It carries an exclusive flock, which makes
    `claim_workspace` of every other process fail or choose another directory. The descriptor stays open until the
    process ends. Then the kernel releases the flock, even after a kill, so no stale lock is left behind.
    """

    def __init__(self, name: str, slot: int, path: Path, lock: int) -> None:
        self.name, self.slot, self.path = name, slot, path
        self._lock = lock


def claim_workspace(settings: Settings) -> Workspace:
    """Lock the directory of the configured worker name; without a name, the first free one of worker-1, worker-2, ...

    Raises Fatal when another process holds it: two processes on one RocksDB would wait for each other.
    """
    root = settings.state_dir / "workers"
    directories = (
        [settings.worker_name]
        if settings.worker_name
        else [f"worker-{n}" for n in range(1, MAX_WORKERS_ON_A_MACHINE + 1)]
    )
    for slot, directory in enumerate(directories):
        path = root / directory
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Fatal(
                f"{path} cannot be used: {error.strerror}; set SIGNALFLOW_STATE_DIR to a directory of this user"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return Workspace(settings.worker_name or _unique(path), slot, path, lock)
    raise Fatal(
        f"{root / directories[-1]} is in use by another worker; give this one another SIGNALFLOW_WORKER_NAME or "
        "SIGNALFLOW_STATE_DIR"
    )


def _unique(path: Path) -> str:
    """A name that no worker of another host or directory has: worker-1 of several must not share a row of `workers`."""
    host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())[:40]
    return f"{path.name}.{host}.{blake2b(bytes(path.resolve()), digest_size=4).hexdigest()}"
