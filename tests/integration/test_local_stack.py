"""`signalflow up` as a user meets it: the real command, in a state directory and on ports of its own."""

import json
import os
import re
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
    """A base whose ports are all free; away from the default, where a stack of the developer may run."""
    return next(
        base
        for base in range(21_000 + os.getpid() % 50 * 100, 32_000, 100)
        if all(is_free(base + n) for n in PORTS_NEEDED)
    )


def posts(database_url: str) -> int:
    async def count() -> int:
        connection = await asyncpg.connect(database_url, timeout=5)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM posts"))
        finally:
            await connection.close()

    try:
        return run_sync(count())
    except (OSError, asyncpg.PostgresError):
        return 0


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
        """In the foreground, as a terminal would have it: in a process group of its own."""
        log = (self.directory.parent / "up.log").open("a")
        command = [COMMAND, "up", "--state-dir", str(self.directory), "--port-base", str(self.base), *arguments]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, process_group=0)

    def state(self) -> dict[str, Any] | None:
        """What state.json says: read directly where a test asks often, since the command takes a second to start."""
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
        """Posts in the database; 0 while there is none."""
        state = self.state()
        return posts(state["settings"]["database_url"]) if state else 0

    def log(self) -> str:
        return (self.directory.parent / "up.log").read_text()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    # The shortest that Kafka takes: a worker after a kill waits this long for its predecessor's place in the group.
    monkeypatch.setenv("SIGNALFLOW_BROKER_SESSION_TIMEOUT", "6")
    monkeypatch.setenv("SIGNALFLOW_BROKER_HEARTBEAT_INTERVAL", "2")
    made = Stack(tmp_path / "state", free_base())
    yield made
    made.run("down")


def gone(pids: dict[str, int]) -> Callable[[], bool]:
    return lambda: (
        not any(
            psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids.values()
        )
    )


def test_up_leads_to_posts_ctrl_c_leaves_nothing_and_the_next_up_goes_on(stack: Stack) -> None:
    began = time.monotonic()
    first = stack.up()
    assert wait_until(lambda: stack.stored() > 0 or first.poll() is not None, 90, interval=0.5), stack.log()
    until_first_post = time.monotonic() - began
    assert wait_until(lambda: stack.phase() == "up", 30), stack.log()

    status = json.loads(stack.run("status", "--json").stdout)
    assert set(status) == {"kafka", "database_url", "api_url", "simulator_url", "workers", "state_dir"}
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


def test_after_a_kill_of_the_supervisor_the_next_start_is_not_blocked_and_children_that_die_come_back(
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

    # Both servers die under the worker's hands; what it stores afterwards proves that all found each other again.
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
