"""Files that only their owner may read."""

import resource
from pathlib import Path

import pytest

from signalflow.local.private_files import write_private


def test_a_file_that_everybody_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("public")
    path.chmod(0o644)
    with path.open() as opened_before:
        write_private(path, "secret")
        assert opened_before.read() == "public"
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("before", ["the secret before", None])
def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "secret"
    if before is not None:
        write_private(path, before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system takes the first bytes only, as of a disk that becomes full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_private(path, "the new secret")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.read_text() for file in tmp_path.iterdir()] == ([before] if before is not None else [])
