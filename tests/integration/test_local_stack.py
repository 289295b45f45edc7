"""`signalflow up` as a user runs it: the real command, with its own state directory and ports."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from signalflow.local.ports import is_free
from signalflow.local.process import wait_until
from tests.conftest import run_sync

pytestmark = [pytest.mark.integration, pytest.mark.slow]

COMMAND = str(Path(sys.executable).with_name("signalflow"))
PORTS_NEEDED = range(12)


def free_base() -> int:
    """A base whose ports are all free, away from the default, where the developer may run a stack."""
    return next(
        base
        for base in range(21_000 + os.getpid() % 50 * 100, 32_000, 100)
        if all(is_free(base + n) for n in PORTS_NEEDED)
    )


def query(database_url: str, sql: str) -> Any:
    """The first value that a query returns; None while there is no database."""

    async def fetch() -> Any:
        connection = await asyncpg.connect(database_url, timeout=5)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    try:
        return run_sync(fetch())
    except (OSError, asyncpg.PostgresError):
        return None


@dataclass
class Stack:
    """A state directory and a port base, and the commands on them."""

    directory: Path
    base: int

    def run(self, *arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [COMMAND, *arguments, "--state-dir", str(self.directory)], capture_output=True, text=True, timeout=timeout
        )

    def up(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start in the foreground, in a process group of its own, as a shell does."""
        log = (self.directory.parent / "up.log").open("a")
        command = [COMMAND, "up", "--state-dir", str(self.directory), "--port-base", str(self.base), *arguments]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, process_group=0)

    def state(self) -> dict[str, Any] | None:
        """The content of state.json, for tests that ask often: `signalflow status` takes a second to start."""
        try:
            return dict(json.loads((self.directory / "state.json").read_text()))
        except FileNotFoundError:
            return None

    def phase(self) -> str:
        state = self.state()
        return str(state["phase"]) if state else "gone"

    def children(self) -> dict[str, int]:
        state = self.state()
        return {child["name"]: child["pid"] for child in state["children"]} if state else {}

    def stored(self) -> int:
        """Posts in the database; 0 while there is no database."""
        return int(self.query("SELECT count(*) FROM posts") or 0)

    def query(self, sql: str) -> Any:
        """The first value that a query returns; None while there is no database."""
        state = self.state()
        return query(state["settings"]["database_url"], sql) if state else None

    def log(self) -> str:
        return (self.directory.parent / "up.log").read_text()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    # The shortest that Kafka accepts: after a kill, a new worker waits this long until the old one leaves the group.
    monkeypatch.setenv("SIGNALFLOW_BROKER_SESSION_TIMEOUT", "6")
    monkeypatch.setenv("SIGNALFLOW_BROKER_HEARTBEAT_INTERVAL", "2")
    # Each of these characters means something to one of the servers' configurations, or to a shell.
    made = Stack(tmp_path / "Zustand für A, #1", free_base())
    yield made
    made.run("down")


def gone(pids: dict[str, int]) -> Callable[[], bool]:
    return lambda: (
        not any(
            psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids.values()
        )
    )


def test_up_finds_posts_ctrl_c_ends_all_processes_and_the_next_up_keeps_the_posts(stack: Stack) -> None:
    began = time.monotonic()
    first = stack.up()
    assert wait_until(lambda: stack.stored() > 0 or first.poll() is not None, 90, interval=0.5), stack.log()
    until_first_post = time.monotonic() - began
    assert wait_until(lambda: stack.phase() == "up", 30), stack.log()

    status = json.loads(stack.run("status", "--json").stdout)
    assert set(status) == {
        *("kafka", "database_url", "api_url", "simulator_url", "proxy", "state_dir"),
        *("workers", "joined", "processes", "unknown_settings", "unused_settings", "reddit_answers_nothing"),
    }
    assert status["reddit_answers_nothing"] is None
    assert [set(worker) for worker in status["workers"]] == [{"pid", "web_url", "state"}]
    assert httpx.get(f"{status['api_url']}/health").status_code == 200
    assert httpx.get(f"{status['workers'][0]['web_url']}/ready").status_code == 200

    link = re.search(r"http://\S+/sign-in/link\?token=\S+", stack.log())
    assert link, stack.log()
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(f"{status['api_url']}/api/posts/").status_code == 401
        assert browser.get(link.group()).status_code == 200
        assert browser.get(f"{status['api_url']}/api/posts/").json()["items"]

    second = stack.run("up", "--port-base", str(stack.base + 50))
    assert second.returncode == 1
    assert "already runs" in second.stderr

    children, before = stack.children(), stack.stored()
    stopping = time.monotonic()
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(20) == 0, stack.log()
    assert time.monotonic() - stopping < 15
    assert gone(children)()
    assert stack.phase() == "gone"
    assert until_first_post < 45

    again = stack.up()
    assert wait_until(lambda: stack.phase() == "up" or again.poll() is not None, 60), stack.log()
    assert stack.stored() >= before
    again.terminate()
    assert again.wait(20) == 0


def test_up_starts_after_its_supervisor_was_killed_and_restarts_servers_that_die(
    stack: Stack,
) -> None:
    started = stack.run("up", "--detach", "--port-base", str(stack.base))
    assert started.returncode == 0, started.stderr
    assert "/sign-in/link?token=" in started.stdout
    assert "/sign-in/link" not in (stack.directory / "logs" / "up.log").read_text()
    killed = stack.children()
    state = stack.state()
    assert state is not None
    os.kill(state["supervisor"]["pid"], signal.SIGKILL)

    started = stack.run("up", "--detach", "--port-base", str(stack.base))
    assert started.returncode == 0, started.stderr
    assert gone(killed)()

    # Kafka and PostgreSQL die while the worker uses them. New posts prove that all parts have found each other again.
    before, children = stack.stored(), stack.children()
    for name in ("postgres", "kafka-1"):
        os.kill(children[name], signal.SIGKILL)
    assert wait_until(lambda: stack.stored() > before, 120, interval=0.5), (
        stack.directory / "logs" / "up.log"
    ).read_text()
    report = (stack.directory / "logs" / "up.log").read_text()
    assert "postgres was ended by SIGKILL" in report
    assert "kafka-1 was ended by SIGKILL" in report

    down = stack.run("down")
    assert down.returncode == 0
    assert stack.run("status").returncode == 1


def test_a_worker_started_with_the_command_that_up_shows_joins_the_stack(stack: Stack) -> None:
    started = stack.run("up", "--detach", "--port-base", str(stack.base))
    shown = re.search(r"add a worker: (.+)", started.stdout)
    assert shown, started.stdout
    assert f"SIGNALFLOW_STATE_DIR={stack.directory}" in shlex.split(shown.group(1))

    log = stack.directory.parent / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(f"exec env {shown.group(1)}", shell=True, stdout=output, stderr=subprocess.STDOUT)
    try:
        live = "SELECT count(*) FROM workers WHERE heartbeat_at > now() - interval '10 s'"
        assert wait_until(lambda: stack.query(live) == 2, 60, interval=0.5), log.read_text()
        (joined,) = json.loads(stack.run("status", "--json").stdout)["joined"]
        assert joined["pid"] == worker.pid
        listed = [line.split() for line in stack.run("status").stdout.splitlines() if "joined by hand" in line]
        assert [line[:3] for line in listed] == [[joined["name"], "pid", str(worker.pid)]]
    finally:
        worker.terminate()
        assert worker.wait(20) == 0
