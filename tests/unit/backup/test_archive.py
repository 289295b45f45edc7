"""The file of a backup."""

import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest

from signalflow.backup.archive import Archive, Contents, new_archive
from signalflow.errors import Fatal

CONTENTS = Contents(
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
    revision="0025",
    mode="native",
    postgres=18,
    timescaledb=None,
    rows={"posts": 3},
    topics=[],
)


def written(path: Path, *pieces: bytes) -> Path:
    with new_archive(path) as archive:
        for piece in pieces:
            archive.write(piece)
        archive.finish(CONTENTS, pg_dump=18)
    return path


@pytest.mark.parametrize("pieces", [(), (b"a",), (b"x" * 512,), (b"x" * 700, b"y" * 3_000_000)])
def test_what_is_written_is_read_and_tar_reads_it_too(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    path = written(tmp_path / "file", *pieces)
    archive = Archive(path)
    done: list[int] = []
    archive.check(done.append)
    assert b"".join(archive.dump(done.append)) == b"".join(pieces)
    assert sum(done) == 2 * archive.manifest.bytes == 2 * len(b"".join(pieces))
    assert Contents(**archive.manifest.model_dump()) == CONTENTS
    with tarfile.open(path) as members:
        assert members.getnames() == ["database.dump", "manifest.json"]
        dump = members.extractfile("database.dump")
        assert dump is not None
        assert dump.read() == b"".join(pieces)


@pytest.mark.parametrize("kept", [100, 600, 1500, 2100])
def test_a_file_that_was_cut_anywhere_is_refused(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path / "file", b"x" * 1400)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(Fatal, match="is not whole"):
        Archive(path)


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "file", b"x")
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(Fatal, match="another version"):
        Archive(path)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An error of the operating system would look as if the database were away."""
    with pytest.raises(Fatal, match=r"no/file: No such file or directory"), new_archive(tmp_path / "no" / "file"):
        pass


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(descriptor: int, mode: str) -> IO[bytes]:
        os.close(descriptor)
        return open("/dev/full", mode)

    monkeypatch.setattr("signalflow.backup.archive.os.fdopen", opened)
    with pytest.raises(Fatal, match="file: No space left on device"):
        written(tmp_path / "file", b"x" * 3_000_000)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_archive(tmp_path / "file"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
