"""A stack in the foreground goes on when its state cannot be written, and ends without error when it is asked to."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from signalflow.errors import Fatal, Retryable
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


async def no_posts() -> Callable[[], Awaitable[int]]:
    raise AssertionError("the stack was asked to stop before")


async def test_a_link_that_fails_because_the_stack_is_asked_to_stop_is_no_failure(
    foreground: ForegroundStack, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()

    async def interrupted() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Retryable("database: the connection was closed") from None
        raise AssertionError("nobody sets this event")

    await foreground.until_stopped(no_posts, interrupted)


async def test_a_link_that_cannot_be_made_is_a_failure_of_the_start(
    foreground: ForegroundStack, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()

    async def refused() -> str:
        raise Fatal("database: no such account")

    with pytest.raises(Fatal, match="no such account"):
        await foreground.until_stopped(no_posts, refused)
