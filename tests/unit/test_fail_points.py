"""Fail points: the armed point kills the nth time, others do nothing, and the code reaches each point."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from signalflow import clock, fail_points
from signalflow.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _disarmed_afterwards() -> Iterator[None]:
    yield
    fail_points.arm("")
    clock.set_wrong(0)


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append((pid, number)))
    return seen


def test_the_armed_point_kills_this_process_the_nth_time_and_no_other_point_does(kills: list[tuple[int, int]]) -> None:
    fail_points.arm("sink.after_commit:3")
    for _ in range(2):
        fail_points.reach("sink.after_commit")
        fail_points.reach("sink.before_commit")
    assert kills == []
    fail_points.reach("sink.after_commit")
    assert kills == [(os.getpid(), signal.SIGKILL)]


def test_nothing_happens_without_the_setting(kills: list[tuple[int, int]]) -> None:
    fail_points.arm("")
    for name in fail_points.NAMES:
        fail_points.reach(name)
    assert kills == []


def test_a_process_that_reaches_its_point_ends_at_once() -> None:
    name = "dlq.after_commit"
    code = f"from signalflow.fail_points import arm, reach; arm('{name}'); reach('{name}'); print('alive')"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT)
    assert (process.returncode, process.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.parametrize("value", ["nowhere", "sink.after_commit:0", "sink.after_commit:x", "sink.after_commit:-1"])
def test_a_point_that_does_not_exist_is_refused_at_start(value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(fail_point=value)
    assert [problem["loc"] for problem in refused.value.errors()] == [("fail_point",)]


def test_the_code_reaches_every_point_and_no_other() -> None:
    reached: set[str] = set()
    for folder in ("signalflow", "agents"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            reached.update(re.findall(r'reach\("([\w.]+)"\)', text))
            of_tables = re.findall(r'reach\(f"\{(?:self\.)?agent\}\.(\w+)"\)', text)
            reached.update(f"{agent}.{step}" for step in of_tables for agent in ("enrich", "signals", "terms"))
            reached.update(f"{name}.after_ack" for name in re.findall(r'run_batch_loop\(\s*app[^=]*name="(\w+)"', text))
    assert reached == fail_points.NAMES


def test_the_clock_is_wrong_by_what_the_fault_suite_asks_for() -> None:
    clock.set_wrong(-3600)
    assert abs(clock.utcnow() - datetime.now(UTC) + timedelta(hours=1)) < timedelta(minutes=1)


def test_nothing_else_reads_the_wall_clock() -> None:
    """Otherwise a worker whose clock is wrong would compute other numbers, and no test could show it."""
    reads = re.compile(r"\b(time\.time(_ns)?\(|datetime\.(now|utcnow|today)\(|date\.today\()")
    found = [
        path.relative_to(ROOT)
        for folder in ("signalflow", "agents", "tables", "web")
        for path in (ROOT / folder).rglob("*.py")
        if reads.search(path.read_text(encoding="utf-8"))
    ]
    assert found == [Path("signalflow/clock.py")]
