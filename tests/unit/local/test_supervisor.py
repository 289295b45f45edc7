"""The supervisor, tried on small programs that each misbehave in one way."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable
from signalflow.local import supervisor as supervising
from signalflow.local.parts import Part, PartState, Stage, Step
from signalflow.local.process import Launch, tail, wait_until
from signalflow.local.supervisor import Supervisor
from tests.waiting import until


class Events:
    """A reporter that records what it is told."""

    def __init__(self) -> None:
        self.states: list[tuple[str, PartState]] = []
        self.failures: list[tuple[str, str, str]] = []
        self.waits: list[float] = []
        self.steps: list[tuple[str, bool]] = []

    def changed(self, part: Part, state: PartState, detail: str = "") -> None:
        self.states.append((part.name, state))

    def failed(self, part: Part, why: str, log_tail: str, next_try: float) -> None:
        self.failures.append((part.name, why, log_tail))
        self.waits.append(next_try)

    def step(self, step: Step, done: bool) -> None:
        self.steps.append((step.name, done))


WELL_BEHAVED = "import signal; print('up', flush=True); signal.pause()"
IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)


@pytest.fixture
def part(tmp_path: Path) -> Callable[..., Part]:
    """Makes a part of a Python program that is ready when it has printed 'up'."""

    def make(name: str, program: str, **more: Any) -> Part:
        log = tmp_path / f"{name}.log"

        async def ready() -> bool:
            return "up" in tail(log, lines=1)

        argv = [sys.executable, "-S", "-E", "-c", textwrap.dedent(program)]
        defaults: dict[str, Any] = {"ready": ready, "stop_seconds": 3.0}
        return Part(
            name=name,
            address="nowhere",
            log=log,
            launch=lambda: Launch(argv=argv, env={}, cwd=tmp_path),
            **(defaults | more),
        )

    return make


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "_RESTARTS", Backoff(first=0.01, most=30.0))
    monkeypatch.setattr(supervising, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(supervising, "_HEALTH_INTERVAL", 0.05)


async def test_a_part_that_dies_is_reported_with_the_end_of_its_log_and_started_again(
    part: Callable[..., Part],
) -> None:
    events = Events()
    supervisor = Supervisor([[part("server", WELL_BEHAVED)]], events, lambda: None)
    await supervisor.start()
    first = supervisor.parts["server"].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(
        lambda: (
            supervisor.parts["server"].state == PartState.READY and supervisor.parts["server"].pid not in (None, first)
        )
    )
    await supervisor.stop()
    assert events.failures == [("server", "was ended by SIGKILL", "up")]


@pytest.mark.slow
async def test_a_part_that_ends_again_and_again_waits_longer_each_time(
    part: Callable[..., Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "_RESTARTS", Backoff(first=0.01, most=0.04))
    events = Events()
    short = part("short", "import time; print('up', flush=True); time.sleep(0.2)")
    supervisor = Supervisor([[short]], events, lambda: None)
    await supervisor.start()
    await until(lambda: len(events.waits) >= 4)
    assert events.waits[:4] == [0.01, 0.02, 0.04, 0.04]
    # One that ran for long enough is started again at once.
    monkeypatch.setattr(supervising, "_STABLE_SECONDS", 0.0)
    seen = len(events.waits)
    await until(lambda: len(events.waits) > seen)
    await supervisor.stop()
    assert events.waits[-1] == 0.01


async def test_a_part_that_cannot_be_started_again_for_lack_of_space_is_tried_again_and_the_others_go_on(
    part: Callable[..., Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    full: list[OSError] = []

    def prepare() -> None:
        if full:
            raise full.pop()

    events = Events()
    supervisor = Supervisor(
        [[part("server", WELL_BEHAVED, prepare=prepare), part("other", WELL_BEHAVED)]], events, lambda: None
    )
    await supervisor.start()
    watching = asyncio.create_task(supervisor.watch())
    server, other = supervisor.parts["server"], supervisor.parts["other"].pid
    first = server.pid
    assert first is not None
    full.append(OSError(errno.ENOSPC, "No space left on device", "/data/server.properties"))
    monkeypatch.setattr(supervising, "full_disk", lambda _: "the disk of /data is full (0 MB left): free some space")
    os.kill(first, signal.SIGKILL)
    await until(lambda: server.state == PartState.READY and server.pid not in (None, first))
    assert not watching.done()
    assert supervisor.parts["other"].pid == other
    watching.cancel()
    await supervisor.stop()
    assert events.failures == [
        ("server", "was ended by SIGKILL; the disk of /data is full (0 MB left): free some space", ""),
        (
            "server",
            "could not be started: [Errno 28] No space left on device: '/data/server.properties'; "
            "the disk of /data is full (0 MB left): free some space",
            "",
        ),
    ]


async def test_a_start_on_a_full_disk_fails_with_one_sentence(
    part: Callable[..., Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "full_disk", lambda _: "the disk of /data is full (0 MB left): free some space")
    broken = part("broken", "print('java.io.IOException'); raise SystemExit(1)")
    supervisor = Supervisor([[broken]], Events(), lambda: None)
    with pytest.raises(Fatal) as failed:
        await supervisor.start()
    await supervisor.stop()
    assert str(failed.value) == (
        "broken does not start: ended with status 1; the disk of /data is full (0 MB left): free some space"
    )


async def test_the_end_of_a_ready_part_is_noticed_between_two_questions_for_its_health(
    part: Callable[..., Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "_HEALTH_INTERVAL", 3600.0)
    events = Events()
    supervisor = Supervisor([[part("server", WELL_BEHAVED)]], events, lambda: None)
    await supervisor.start()
    pid = supervisor.parts["server"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: bool(events.failures))
    await supervisor.stop()
    assert events.failures[0][:2] == ("server", "was ended by SIGKILL")


async def test_a_part_that_never_starts_ends_the_start_with_the_end_of_its_log(part: Callable[..., Part]) -> None:
    events = Events()
    broken = part("broken", "import sys; print('no such setting: x', flush=True); sys.exit(3)")
    supervisor = Supervisor([[broken]], events, lambda: None)
    with pytest.raises(Fatal, match=r"(?s)broken does not start: ended with status 3.*no such setting: x"):
        await supervisor.start()
    await supervisor.stop()
    assert len(events.failures) == 3


async def test_a_part_that_ignores_sigterm_is_killed_after_its_stop_seconds(part: Callable[..., Part]) -> None:
    supervisor = Supervisor([[part("deaf", IGNORES_SIGTERM, stop_seconds=0.3)]], Events(), lambda: None)
    await supervisor.start()
    pid = supervisor.parts["deaf"].pid
    assert pid is not None
    async with asyncio.timeout(3):
        await supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_parts_stop_by_rank_in_whatever_order_they_started(part: Callable[..., Part]) -> None:
    events = Events()
    parts = [
        part("database", WELL_BEHAVED, stop_rank=4),
        part("api", WELL_BEHAVED, stop_rank=1),
        part("worker", WELL_BEHAVED),
    ]
    supervisor = Supervisor([parts], events, lambda: None)
    await supervisor.start()
    await supervisor.stop()
    assert [name for name, state in events.states if state == PartState.STOPPED] == ["worker", "api", "database"]


async def test_children_of_a_part_end_with_it(part: Callable[..., Part]) -> None:
    program = """
        import subprocess, sys, signal
        child = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
        print(child.pid, "up", flush=True)
        signal.pause()
    """
    parent = part("parent", program)
    supervisor = Supervisor([[parent]], Events(), lambda: None)
    await supervisor.start()
    child = int(tail(parent.log).split()[0])
    assert psutil.pid_exists(child)
    await supervisor.stop()
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


async def test_a_part_that_hangs_is_started_again(part: Callable[..., Part], tmp_path: Path) -> None:
    async def dead() -> bool:
        return False

    hung = tmp_path / "hung"

    async def ready() -> bool:
        return not hung.exists() and "up" in tail(tmp_path / "stuck.log")

    events = Events()
    stuck = part("stuck", WELL_BEHAVED, ready=ready, live=dead, hang_seconds=0.1)
    supervisor = Supervisor([[stuck]], events, lambda: None)
    await supervisor.start()
    hung.touch()
    await until(lambda: bool(events.failures))
    await supervisor.stop()
    assert events.failures[0][:2] == ("stuck", "did not react for 0 s")


async def test_a_stage_starts_after_the_stage_before_and_a_failed_step_is_retried(part: Callable[..., Part]) -> None:
    attempts = 0

    async def migrate() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Retryable("not yet")

    events = Events()
    stages: list[Stage] = [[part("database", WELL_BEHAVED)], [Step("schema", migrate)], [part("worker", WELL_BEHAVED)]]
    supervisor = Supervisor(stages, events, lambda: None)
    await supervisor.start()
    await supervisor.stop()
    assert attempts == 3
    assert events.steps == [("schema", False), ("schema", True)]
    names = [name for name, state in events.states if state in (PartState.STARTING, PartState.READY)]
    assert names == ["database", "database", "worker", "worker"]


async def test_a_second_ctrl_c_kills_parts_at_once(part: Callable[..., Part]) -> None:
    supervisor = Supervisor([[part("deaf", IGNORES_SIGTERM, stop_seconds=60.0)]], Events(), lambda: None)
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await until(lambda: supervisor.parts["deaf"].state == PartState.STOPPING)
    supervisor.kill_now()
    async with asyncio.timeout(3):
        await stopping


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_parts_die_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    program = f"""
        import signal, sys
        from pathlib import Path
        from signalflow.local.process import Launch, spawn
        here = Path({str(tmp_path)!r})
        launch = Launch([sys.executable, "-S", "-c", "import signal; signal.pause()"], {{}}, here)
        print(spawn(launch, here / "log").pid, flush=True)
        signal.pause()
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, 5)
