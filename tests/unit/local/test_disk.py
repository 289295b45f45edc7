"""A full disk is told from one with room, by what the system says of it."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from signalflow.local.disk import full_disk, lacks_space, no_room_for


@pytest.mark.parametrize(("left", "is_full"), [(0, True), ((16 << 20) - 1, True), (16 << 20, False)])
def test_a_disk_that_has_no_room_for_a_file_of_the_database_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, is_full: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=left))
    said = full_disk(tmp_path)
    assert (said is not None) is is_full
    if said is not None:
        assert said.startswith(f"the disk of {tmp_path} is full ({left >> 20} MB left)")


def test_a_directory_that_is_gone_is_no_full_disk(tmp_path: Path) -> None:
    assert full_disk(tmp_path / "gone") is None


@pytest.mark.parametrize(
    ("number", "lacks"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False), (errno.EIO, False)]
)
def test_a_write_that_failed_for_lack_of_space_is_told_from_other_failures(number: int, lacks: bool) -> None:
    assert lacks_space(OSError(number, "failed")) is lacks


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ('FATAL:  could not write to file "base/4/1247": No space left on device', True),
        ("java.io.IOException: Disk quota exceeded", True),
        ("initdb: error: could not access directory: Permission denied", False),
        ("", False),
    ],
)
def test_a_program_that_ended_on_a_full_disk_is_told_from_other_ends(tmp_path: Path, said: str, is_told: bool) -> None:
    told = f"initdb failed because the disk of {tmp_path} has no room: free some space, or give another --state-dir"
    assert no_room_for("initdb", said, tmp_path) == (told if is_told else None)
