"""One worker from the raw topic to the database, the restore of its table, and the bare loop over the same topic."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.bench.load import Load, publish
from tests.bench.machine import CpuMeter
from tests.bench.stack import Commits, Stack, commits
from tests.integration.workers import WorkerProcess

WORKER = "bench"
POLL_SECONDS = 0.5
RESTORE_POLL_SECONDS = 0.02
DEADLINE_SECONDS = 300.0
PROFILE_SECONDS = 10

Progress = Callable[[int], None]


async def fill(stack: Stack, events: int, posts: int) -> tuple[Settings, dict[str, Any]]:
    """A new installation whose raw topic holds this many observations."""
    settings = await stack.installation("pipeline")
    load = Load(posts, utcnow())
    await publish(settings, load.envelopes(events))
    return settings, {"events": events, "posts": posts, "texts": load.source, "partitions": settings.topic_partitions}


async def throughput(
    stack: Stack, settings: Settings, events: int, progress: Progress, profile: Path | None
) -> dict[str, Any]:
    """One worker processes the topic and is stopped at the end; its local state stays for `restore`.

    Time is measured by the database's commit timestamps of the history rows, from the first commit to the last. To
    know the end, the bench counts the rows every POLL_SECONDS. Processor seconds are of the same time, up to one poll.
    """
    worker = WorkerProcess(settings, WORKER, stack.directory)
    started = time.monotonic()
    worker.start()
    meter = CpuMeter(worker=worker.pid, **stack.pids())
    try:
        profiler = Profiler(worker.pid, profile) if profile else None
        until_first, cpu = await _until_stored(settings, events, meter, progress, lambda: profiler and profiler.start())
        if profiler:
            profiler.finish()
        return _result(await commits(settings), cpu) | {
            "start_to_first_row_s": round(until_first - started, 1),
            "profiled": profile is not None,
        }
    except AssertionError as error:
        raise AssertionError(f"{error}\n{worker.tail()}") from error
    finally:
        worker.stop()


async def restore(stack: Stack, settings: Settings) -> dict[str, Any]:
    """The worker starts without its local state and reads the changelog.

    Time is measured from the first answer of /ready that names assigned partitions to the first that says recovered,
    asked every RESTORE_POLL_SECONDS. It includes what Faust does before and after it reads.
    """
    records = await _changelog_records(settings)
    shutil.rmtree(settings.state_dir / "workers" / WORKER / "data")
    worker = WorkerProcess(settings, WORKER, stack.directory)
    worker.start()
    try:
        assigned = await _when(worker, lambda answer: answer["assigned_partitions"] > 0)
        recovered = await _when(worker, lambda answer: answer["recovered"])
    finally:
        worker.stop()
    seconds = recovered - assigned
    return {"records": records, "seconds": round(seconds, 2), "records_per_s": round(records / seconds)}


async def bare(stack: Stack, settings: Settings, events: int, batch: int, progress: Progress) -> dict[str, Any]:
    """The bare loop over the same topic into a database of its own, measured as `throughput` is."""
    settings = settings.model_copy(update={"database_url": SecretStr(await stack.database("bare"))})
    environment = os.environ | {
        "SIGNALFLOW_KAFKA": settings.kafka,
        "SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value(),
        "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
        "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bare_loop", str(events), str(batch), env=environment
    )
    try:
        _, cpu = await _until_stored(settings, events, CpuMeter(bare=process.pid, **stack.pids()), progress)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
    return _result(await commits(settings), cpu) | {"most_rows_of_a_batch": batch}


class Profiler:
    """py-spy on the worker, from the first stored row on."""

    def __init__(self, pid: int, output: Path) -> None:
        self._argv = [Path(sys.executable).with_name("py-spy"), "record", "-d", str(PROFILE_SECONDS), "-r", "200"]
        self._argv += ["-f", "raw", "-o", output, "-p", str(pid)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to sample."""
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self) -> None:
        """Wait until the profile is written."""
        if self._process:
            self._process.wait()


def _result(done: Commits, cpu: dict[str, float]) -> dict[str, Any]:
    return {
        "events_per_s": round(done.per_second),
        "seconds": round(done.seconds, 2),
        "transactions": done.transactions,
        "rows_per_transaction": round(done.rows / done.transactions),
        "cpu_seconds": cpu,
        "cpu_us_per_event": {name: round(seconds / done.rows * 1e6, 1) for name, seconds in cpu.items()},
    }


async def _until_stored(
    settings: Settings,
    events: int,
    meter: CpuMeter,
    progress: Progress,
    on_first: Callable[[], Any] = lambda: None,
) -> tuple[float, dict[str, float]]:
    """Wait until history holds every event. Returns when the first was seen (time.monotonic), and CPU seconds since."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    deadline, first = time.monotonic() + DEADLINE_SECONDS, 0.0
    meter.start()
    try:
        while (rows := await connection.fetchval("SELECT count(*) FROM post_metrics_history")) < events:
            assert time.monotonic() < deadline, f"{rows} of {events} events after {DEADLINE_SECONDS:.0f} s"
            assert not meter.ended(), f"{meter.ended()} ended after {rows} of {events} events"
            progress(rows)
            if rows == 0:
                meter.start()
            elif not first:
                first = time.monotonic()
                on_first()
            await asyncio.sleep(POLL_SECONDS if first else POLL_SECONDS / 10)
        return first or time.monotonic(), meter.stop()
    finally:
        await connection.close()


async def _when(worker: WorkerProcess, condition: Callable[[dict[str, Any]], bool]) -> float:
    """When /ready first gave an answer that fulfils the condition (time.monotonic)."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS) as client:
        while time.monotonic() < deadline:
            assert worker.poll() is None, f"the worker ended:\n{worker.tail()}"
            try:
                answer = (await client.get(f"{worker.url}/ready")).json()
            except (httpx.HTTPError, ValueError):
                answer = None
            if isinstance(answer, dict) and condition(answer):
                return time.monotonic()
            await asyncio.sleep(RESTORE_POLL_SECONDS)
    raise AssertionError(f"/ready never gave the expected answer:\n{worker.tail()}")


async def _changelog_records(settings: Settings) -> int:
    topic = TopicNames.of(settings).post_state_changelog
    partitions = [TopicPartition(topic, partition) for partition in range(settings.topic_partitions)]
    async with AIOKafkaConsumer(**connection_options(settings)) as consumer:
        begin, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    return sum(end[tp] - begin[tp] for tp in partitions)
