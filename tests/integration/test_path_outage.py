"""Real workers while the database is away: rebalances and stops lose nothing and commit nothing that is not stored."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from signalflow.events import decode_enriched
from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify import compare, expected
from tests.integration.door import Door, door_to_database
from tests.integration.workers import (
    WorkerProcess,
    committed,
    count,
    eventually,
    fetch_all,
    observation,
    produce,
    read_topic,
)

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
POSTS = 400
# A worker has GRACE_SECONDS to finish a commit, and needs a few more to leave the group and close.
GONE_SECONDS = 15.0


async def observe(settings: Settings, moment: int) -> None:
    """One observation of every post."""
    at = START + timedelta(minutes=moment)
    await produce(settings, [observation(f"o{n}", at, created_at=START, score=moment) for n in range(POSTS)])


async def committed_but_not_stored(settings: Settings) -> list[tuple[str, datetime]]:
    """Observations whose offset the sink's group has passed although the tables do not hold them."""
    upto = await committed(settings, TopicNames.of(settings).posts_enriched)
    rows = {tuple(row) for row in await fetch_all(settings, "SELECT post_id, observed_at FROM post_metrics_history")}
    enriched = await read_topic(settings, TopicNames.of(settings).posts_enriched)
    passed = [decode_enriched(record.value) for record in enriched if record.offset < upto.get(record.partition, 0)]
    return [(row.id, row.observed_at) for row in passed if (row.id, row.observed_at) not in rows]


async def wrong_in_tables(settings: Settings) -> dict[str, Any]:
    log = expected(await read_topic(settings, TopicNames.of(settings).posts_raw))
    try:
        report = await compare(log, settings.database_url.get_secret_value())
    finally:
        log.close()
    return {name: table.examples for name, table in report.tables.items() if table.differences}


def stored(settings: Settings, moments: int) -> Callable[[], Any]:
    async def all_rows() -> bool:
        return await count(settings, "post_metrics_history") == POSTS * moments

    return all_rows


def retried(workers: list[WorkerProcess], agent: str) -> Callable[[], Any]:
    async def have_retried() -> bool:
        return all([await worker.metric("signalflow_commit_retries_total", f'agent="{agent}"') for worker in workers])

    return have_retried


def enriched(workers: list[WorkerProcess], records: int) -> Callable[[], Any]:
    async def are_enriched() -> bool:
        return records <= sum([await worker.metric("signalflow_records_total", 'agent="enrich"') for worker in workers])

    return are_enriched


@pytest.fixture
async def behind(settings: Settings) -> AsyncIterator[tuple[Door, Settings]]:
    """A door to the database, and the settings of workers behind it; topics exist."""
    await create_topics(settings)
    async with door_to_database(settings) as pair:
        yield pair


@asynccontextmanager
async def running(settings: Settings, log_dir: Path, *names: str) -> AsyncIterator[list[WorkerProcess]]:
    """Ready workers, killed at the end if they still run."""
    workers = [WorkerProcess(settings, name, log_dir, SIGNALFLOW_SINK_MAX_SECONDS="0.2") for name in names]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            await worker.ready()
        yield workers
    finally:
        for worker in workers:
            worker.ensure_stopped()


async def test_a_rebalance_while_the_database_is_down_loses_nothing_and_commits_nothing_that_is_not_stored(
    settings: Settings, behind: tuple[Door, Settings], tmp_path: Path
) -> None:
    door, through = behind
    async with running(through, tmp_path, "w1", "w2") as workers:
        await observe(settings, 0)
        await eventually(stored(settings, 1), 30, workers[0].tail)
        await door.shut()
        await observe(settings, 1)
        await eventually(enriched(workers, 2 * POSTS), 30, workers[0].tail)
        await eventually(retried(workers, "sink"), 30, workers[0].tail)
        third = WorkerProcess(through, "w3", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
        third.start()
        try:
            # Its sink has records in hand: the rebalance is over, and what the others held has been given back.
            await eventually(third.is_live, 45, third.tail)
            await eventually(retried([third], "sink"), 45, third.tail)
            given_back = sum([await w.metric("signalflow_records_given_back_total", 'agent="sink"') for w in workers])
            assert given_back > 0
            assert all(worker.poll() is None for worker in [*workers, third]), "an outage ended a worker"
            assert await committed_but_not_stored(settings) == []
            await door.open()
            await eventually(stored(settings, 2), 45, third.tail)
            assert await wrong_in_tables(settings) == {}
        finally:
            third.ensure_stopped()


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
async def test_sigterm_while_the_database_is_down_ends_the_worker_in_time_with_nothing_committed(
    settings: Settings, behind: tuple[Door, Settings], tmp_path: Path, silent: bool
) -> None:
    door, through = behind
    async with running(through, tmp_path, "w1") as (worker,):
        await observe(settings, 0)
        await eventually(stored(settings, 1), 30, worker.tail)
        names = TopicNames.of(settings)

        async def all_committed() -> bool:
            return sum((await committed(settings, names.posts_enriched)).values()) == POSTS

        await eventually(all_committed, 15, worker.tail)
        if silent:
            door.fall_silent()
        else:
            await door.shut()
        await observe(settings, 1)
        await eventually(enriched([worker], 2 * POSTS), 30, worker.tail)
        before = await committed(settings, names.posts_enriched)
        began = asyncio.get_running_loop().time()
        worker.stop()
        assert asyncio.get_running_loop().time() - began < GONE_SECONDS, worker.tail()
        assert await committed(settings, names.posts_enriched) == before
        assert await count(settings, "post_metrics_history") == POSTS
    await door.open()
    async with running(settings, tmp_path, "w1") as (worker,):
        await eventually(stored(settings, 2), 30, worker.tail)
        assert await wrong_in_tables(settings) == {}
