"""Files that only their owner may read."""

from pathlib import Path

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
