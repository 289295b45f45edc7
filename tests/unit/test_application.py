"""What a worker does before its first record, and how it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from signalflow import application
from signalflow.application import Worker
from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable
from signalflow.storage.schema import NotLoaded


async def test_a_worker_that_is_started_while_kafka_is_away_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the fault suite: the worker ended with status 1, and somebody had to start it again."""
    monkeypatch.setattr(application, "WHILE_AWAY", Backoff(first=0, most=0))
    answers: list[object] = [Retryable("away"), Retryable("away"), "here"]

    async def ask() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await Worker._once_kafka_answers(Worker.__new__(Worker), ask) == "here"


async def test_an_error_that_waiting_cannot_resolve_ends_the_worker() -> None:
    async def refuse() -> None:
        raise Fatal("another number of partitions")

    with pytest.raises(Fatal):
        await Worker._once_kafka_answers(Worker.__new__(Worker), refuse)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Retryable("refused"), ("database_away_at_start", "refused")),
        (NotLoaded(), ("timescaledb_not_loaded", "set shared_preload_libraries to timescaledb")),
    ],
    ids=["away", "without its library"],
)
async def test_a_worker_starts_without_its_database_and_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, error: Retryable, told: tuple[str, str]
) -> None:
    async def check(_: object) -> None:
        raise error

    monkeypatch.setattr(application, "check_schema", check)
    with capture_logs() as logged:
        await application._check_schema_if_reachable(object())  # type: ignore[arg-type]
    ((event, remedy),) = [(line["event"], line["error"]) for line in logged]
    assert event == told[0]
    assert told[1] in remedy


@pytest.mark.slow
def test_a_stop_that_hangs_ends_the_process() -> None:
    """Found by the fault suite: a worker that was told to stop while all brokers were away never ended."""
    hanging = """
import asyncio
from signalflow.application import end_process_after

async def stop():
    end_process_after(0.2)
    await asyncio.Event().wait()

asyncio.run(stop())
"""
    ended = subprocess.run([sys.executable, "-c", hanging], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "stop_hangs" in ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    ["import signalflow; signalflow.app", "from signalflow.cli.main import main; main()"],
    ids=["worker", "cli"],
)
def test_what_a_start_imports_is_not_searched_for_cycles(start: str, tmp_path: Path) -> None:
    """What is imported stays, so looking through all of it is in vain."""
    code = f"""
import contextlib, gc, sys
sys.argv = ["signalflow", "--version"]
with contextlib.suppress(SystemExit):
    {start}
before = gc.get_stats()[2]["collections"]
import signalflow.application
print("collections", before, gc.get_stats()[2]["collections"], gc.get_threshold()[0])
"""
    environment = os.environ | {"SIGNALFLOW_STATE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout.splitlines()[-1] == "collections 0 0 50000", done.stderr
