"""The database of a state directory whose stack does not run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signalflow.local.ports import free_ports
from signalflow.local.postgres import DIRECTORY, EmbeddedPostgres
from signalflow.local.state import StateDir


def stopped_directory(path: Path, *, new: bool) -> StateDir | None:
    """The state directory at a path, if no stack runs there and it has a database of the embedded server.

    `new`: or if one can be made.
    """
    directory = StateDir(path.resolve())
    there = new or (directory.path / DIRECTORY / "cluster").exists()
    return directory if there and directory.running() is None else None


@contextmanager
def running_database(directory: StateDir) -> Iterator[str]:
    """The URL of the embedded server's database, which runs for the block; it is made if there is none.

    No stack can start in the directory meanwhile. Raises Fatal when one runs, or the server does not start.
    """
    directory.lock()
    try:
        directory.end_leftovers()
        server = EmbeddedPostgres(directory.path / DIRECTORY, free_ports(1)[0])
        try:
            server.start()
            yield server.url()
        finally:
            server.stop()
    finally:
        directory.unlock()
