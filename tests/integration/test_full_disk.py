"""A disk that really is full, and has room again: a small file system in memory, where this process may mount one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signalflow.errors import Retryable
from signalflow.local.disk import full_disk
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state
from tests.waiting import until

FILLER = "filler"
# RocksDB looks every few seconds whether it may go on.
GOES_ON_SECONDS = 30.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts an empty file system of so many megabytes."""
    directory = tmp_path / "disk"
    directory.mkdir()

    def mount(megabytes: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
        if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk, and not in every container")
        return directory

    yield mount
    subprocess.run(["umount", "--lazy", str(directory)], capture_output=True)


def fill(disk: Path) -> None:
    with (disk / FILLER).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass


async def test_a_worker_goes_on_by_itself_when_the_disk_of_its_state_has_room_again(
    small_disk: Callable[[int], Path],
) -> None:
    disk = small_disk(24)
    settings = Settings(state_dir=disk, kafka="127.0.0.1:9")
    table = create_post_state(create_faust_app(Application, settings, claim_workspace(settings)), settings)
    table._put(0, {b"before": b"value"}, 1)
    assert full_disk(disk) is None
    fill(disk)
    assert full_disk(disk) is not None
    with pytest.raises(Retryable, match="No space left on device"):
        table._put(0, {b"%d" % number: os.urandom(1000) for number in range(1000)}, 2)
    (disk / FILLER).unlink()

    def goes_on() -> bool:
        with contextlib.suppress(Retryable):
            table._put(0, {b"after": b"value"}, 2000)
            return True
        return False

    await until(goes_on, "the state to be written again", GOES_ON_SECONDS, pause=0.2)
    assert table.read(0, [b"before", b"after"]) == {b"before": b"value", b"after": b"value"}
    assert table.offset_reached(0) == 2000
