"""The command that adds a worker to a running stack by hand."""

import shlex
from pathlib import Path

import pytest

from signalflow.local.running import worker_command


def words(path: str) -> list[str]:
    return shlex.split(worker_command(Path(path)))


def test_the_command_names_a_state_directory_only_when_it_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "SIGNALFLOW_STATE_DIR" not in worker_command(Path(".signalflow"))
    assert "SIGNALFLOW_STATE_DIR" not in worker_command(tmp_path / ".signalflow")
    assert words("my stack")[:2] == ["SIGNALFLOW_JOIN_LOCAL_STACK=true", "SIGNALFLOW_STATE_DIR=my stack"]


@pytest.mark.parametrize("on_path", [True, False])
def test_the_command_has_the_path_of_faust_unless_the_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool
) -> None:
    faust = tmp_path / "bin" / "faust"
    faust.parent.mkdir()
    faust.touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(faust.with_name("python")))
    monkeypatch.setenv("PATH", str(faust.parent if on_path else tmp_path))
    assert words(".signalflow")[-4:] == ["faust" if on_path else str(faust), "-A", "signalflow", "worker"]
