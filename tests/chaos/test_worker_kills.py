"""Three workers share the load while one of them is killed, again and again; the tables must equal what the log says.

SIGNALFLOW_TEST_SEED repeats a run, SIGNALFLOW_TEST_KILL_SECONDS makes it longer. With SIGNALFLOW_TEST_PAUSE=1 every second victim is
stopped for longer than the session timeout instead of killed, and wakes up when its partitions are long with others.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signalflow.events import Envelope
from signalflow.settings import Settings
from signalflow.streams.admin import create_topics
from signalflow.topics import TopicNames
from tests.chaos.forensics import story_of
from tests.integration.oracle import differences, expected_tables
from tests.integration.workers import WorkerProcess, eventually, fetch_all, observation, produce, read_topic

SEED = int(os.environ.get("SIGNALFLOW_TEST_SEED", random.SystemRandom().randrange(10**6)))
SECONDS = float(os.environ.get("SIGNALFLOW_TEST_KILL_SECONDS", "90"))
PAUSE = os.environ.get("SIGNALFLOW_TEST_PAUSE") == "1"
PAUSE_SECONDS = 15.0
WORKERS = 3
POSTS = 1500
PER_SECOND = 400

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(SECONDS * 2 + 240)]


@dataclass
class Load:
    """A stream of observations, each post's in order of time, a few of them late."""

    rnd: random.Random
    start: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20))
    moments: dict[str, int] = field(default_factory=dict)
    scores: dict[str, int] = field(default_factory=dict)

    def take(self, n: int) -> list[Envelope]:
        return [self._one() for _ in range(n)]

    def _one(self) -> Envelope:
        post_id = f"k{self.rnd.randrange(POSTS)}"
        moment = self.moments[post_id] = self.moments.get(post_id, -1) + 1
        score = self.scores[post_id] = self.scores.get(post_id, 0) + self.rnd.randrange(100)
        late = self.rnd.random() < 0.02
        at = self.start + timedelta(seconds=60 * moment - (30 if late else 0))
        return observation(post_id, at, created_at=self.start - timedelta(hours=1), score=score, comments=moment)


@pytest.fixture
async def workers(settings: Settings, tmp_path: Path) -> AsyncIterator[list[WorkerProcess]]:
    await create_topics(settings)
    processes = [
        WorkerProcess(settings, f"w{n}", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.5") for n in range(1, WORKERS + 1)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            await process.ready(90)
        yield processes
    finally:
        for process in processes:
            process.ensure_stopped()


async def kill_now_and_then(workers: list[WorkerProcess], rnd: random.Random, done: Callable[[], bool]) -> int:
    """Kill a random worker every 8 to 20 s and start it again within two; returns the number of faults."""
    faults = 0
    while not done():
        await asyncio.sleep(min(8 + rnd.random() * 12, SECONDS / 3))
        victim = rnd.choice(workers)
        assert victim.poll() is None, f"{victim.name} ended by itself:\n{victim.tail(60)}"
        faults += 1
        if PAUSE and faults % 2:
            victim.signal(signal.SIGSTOP)
            await asyncio.sleep(PAUSE_SECONDS)
            victim.signal(signal.SIGCONT)
            continue
        victim.kill()
        await asyncio.sleep(rnd.random() * 2)
        victim.start()
    return faults


async def test_no_record_is_lost_doubled_or_wrong_while_workers_are_killed(
    settings: Settings, workers: list[WorkerProcess], tmp_path: Path
) -> None:
    print(f"seed {SEED}")
    rnd = random.Random(SEED)
    load, end = Load(rnd), time.monotonic() + SECONDS
    killer = asyncio.create_task(kill_now_and_then(workers, random.Random(SEED + 1), lambda: time.monotonic() > end))
    produced = 0
    while time.monotonic() < end:
        tick = time.monotonic()
        await produce(settings, load.take(PER_SECOND))
        produced += PER_SECOND
        await asyncio.sleep(max(0.0, 1 - (time.monotonic() - tick)))
    kills = await killer
    expected = expected_tables(await read_topic(settings, TopicNames.of(settings).posts_raw))
    rows = sum(len(post.history) for post in expected.values())

    async def stored() -> bool:
        return int((await fetch_all(settings, "SELECT count(*) FROM post_metrics_history"))[0][0]) >= rows

    await eventually(stored, 60, lambda: "\n\n".join(f"{w.name}:\n{w.tail()}" for w in workers))
    report = differences(
        expected,
        await fetch_all(settings, "SELECT * FROM posts"),
        await fetch_all(settings, "SELECT * FROM post_metrics_history"),
    )
    print(f"produced {produced}, kills {kills}, rows {rows}: { {name: len(found) for name, found in report.items()} }")
    for found in (report["wrong history"] + report["wrong posts"])[:2]:
        post_id = found.removeprefix("('").partition("'")[0].partition(":")[0]
        (tmp_path / f"{post_id}.txt").write_text(await story_of(settings, post_id))
        print(f"what the logs say of {post_id}: {tmp_path / post_id}.txt")
    assert {name: found[:5] for name, found in report.items() if found} == {}, f"seed {SEED}"
    assert kills >= 3
    assert await read_topic(settings, TopicNames.of(settings).posts_dlq) == []
