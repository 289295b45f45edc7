"""A stack in the foreground goes on when its state cannot be written, and says so once."""

import shutil
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from signalflow.errors import Fatal
from signalflow.local.foreground import ForegroundStack
from signalflow.local.report import ConsoleReporter
from signalflow.local.state import StackStatus, StateDir


@pytest.fixture
def shown() -> StringIO:
    return StringIO()


@pytest.fixture
def foreground(tmp_path: Path, shown: StringIO) -> ForegroundStack:
    """A stack without parts. Its state directory does not exist."""
    path = tmp_path / "state"
    status = StackStatus(kafka="", database_url="", api_url=None, simulator_url=None, workers=[], state_dir=path)
    stack: Any = SimpleNamespace(stages=lambda steps: [], status=lambda parts: status, decided_settings=dict)
    return ForegroundStack(stack, [], StateDir(path), partial(ConsoleReporter, Console(file=shown)))


def test_a_state_that_cannot_be_written_is_told_once_until_it_can_be_written_again(
    foreground: ForegroundStack, tmp_path: Path, shown: StringIO
) -> None:
    def times_told() -> int:
        foreground._write_state()
        return shown.getvalue().count("cannot be written")

    foreground._phase = "up"
    assert [times_told(), times_told()] == [1, 1]
    (tmp_path / "state").mkdir()
    assert times_told() == 1
    shutil.rmtree(tmp_path / "state")
    assert [times_told(), times_told()] == [2, 2]
    assert "state.json cannot be written: No such file or directory; `signalflow status`" in shown.getvalue()


def test_a_start_whose_state_cannot_be_written_fails(foreground: ForegroundStack) -> None:
    with pytest.raises(Fatal, match=r"state\.json cannot be written: No such file or directory"):
        foreground._write_state()
