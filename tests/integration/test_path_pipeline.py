"""The whole path on real Kafka and PostgreSQL: from the raw topic through the worker into the tables."""

import asyncio
import json
import random
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from signalflow.events import encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify import compare, expected
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, observation, produce, read_topic

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


async def compare_with_log(settings: Settings) -> dict[str, Any]:
    """Differences between the tables and the log; empty when the tables are right."""
    log = expected(await read_topic(settings, TopicNames.of(settings).posts_raw))
    try:
        report = await compare(log, settings.database_url.get_secret_value())
    finally:
        log.close()
    assert report.history.expected > 0
    return {name: table.examples for name, table in report.tables.items() if table.differences}


async def test_disordered_repeated_and_late_observations_give_the_numbers_of_the_log(
    settings: Settings, worker: WorkerProcess
) -> None:
    rnd = random.Random(7)
    envelopes = []
    for number in range(300):
        moments = [START + timedelta(seconds=60 * k) for k in range(rnd.randint(1, 6))]
        observations = [
            observation(
                f"d{number}", at, created_at=START - timedelta(minutes=1), score=rnd.randint(-5, 900), comments=k
            )
            for k, at in enumerate(moments)
        ]
        observations += rnd.choices(observations, k=2)
        if number % 3 == 0:
            rnd.shuffle(observations)
        envelopes += observations
    rnd.shuffle(envelopes)
    await produce(settings, envelopes)
    moments_in_all = len({(e.payload.id, e.metadata.observed_at) for e in envelopes})

    async def all_rows() -> bool:
        return await count(settings, "post_metrics_history") == moments_in_all

    await eventually(all_rows, 30, worker.tail)
    assert await compare_with_log(settings) == {}


async def test_one_bad_record_harms_no_other_and_is_set_aside_whole(
    settings: Settings, worker: WorkerProcess, topics: TopicNames
) -> None:
    good = [observation(f"g{n}", START, created_at=START, score=n) for n in range(40)]
    valid = json.loads(encode(good[0]))
    poison: list[tuple[bytes | None, bytes]] = [
        (b"p0", b"not json"),
        (b"p1", b""),
        (b"p2", json.dumps(valid | {"schema_version": 99}).encode()),
        (b"p3", json.dumps(valid | {"payload": valid["payload"] | {"id": "p3", "score": 2**40}}).encode()),
        (b"p4", json.dumps(valid | {"payload": {"id": "p4"}}).encode()),
        (b"p5", json.dumps(valid).encode()),  # the key of another post
        (b"p6", b'{"payload": "\xff"}'),
        (
            b"p7",
            json.dumps(valid | {"metadata": valid["metadata"] | {"observed_at": "9999-01-01T00:00:00Z"}}).encode(),
        ),
        (b"p8", json.dumps(valid | {"payload": valid["payload"] | {"title": "\ud800", "id": "p8"}}).encode()),
    ]
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        for index, envelope in enumerate(good):
            await producer.send(topics.posts_raw, encode(envelope), key=envelope.payload.id.encode())
            if index < len(poison):
                key, value = poison[index]
                await producer.send_and_wait(topics.posts_raw, value, key=key, headers=[("trace", b"x1")])

    async def stored() -> bool:
        return await count(settings, "posts") == len(good)

    await eventually(stored, 20, worker.tail)
    letters = {record.key: record for record in await read_topic(settings, topics.posts_dlq)}
    assert sorted(letters) == sorted(key for key, _ in poison if key)
    by_offset = {(r.partition, r.offset): r for r in await read_topic(settings, topics.posts_raw)}
    for key, value in poison:
        letter = letters[key]
        headers = {name: content.decode() for name, content in letter.headers}
        assert letter.value == value, "the original bytes"
        assert headers["trace"] == "x1", "the original headers"
        assert headers["dlq_topic"] == topics.posts_raw
        assert by_offset[int(headers["dlq_partition"]), int(headers["dlq_offset"])].key == key
        assert headers["dlq_stage"] == "validate"
        assert headers["dlq_error"]
        assert headers["dlq_attempt"] == "1"


async def test_text_that_postgres_cannot_hold_is_stored_with_a_replacement(
    settings: Settings, worker: WorkerProcess
) -> None:
    await produce(settings, [observation("nul", START, created_at=START, title="before\x00after")])

    async def stored() -> bool:
        return await count(settings, "posts") == 1

    await eventually(stored, 20, worker.tail)
    assert (await fetch_all(settings, "SELECT title FROM posts"))[0]["title"] == "before\ufffdafter"


async def test_the_state_of_a_post_is_served_by_its_owner_whichever_worker_is_asked(
    settings: Settings, worker: WorkerProcess, tmp_path: Path
) -> None:
    second = WorkerProcess(settings, "w2", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    second.start()
    try:
        await second.ready()
        await worker.ready()
        ids = [f"s{n}" for n in range(12)]
        await produce(settings, [observation(i, START, created_at=START, score=5) for i in ids])

        async def stored() -> bool:
            return await count(settings, "posts") == len(ids)

        await eventually(stored, 20, second.tail)
        async with httpx.AsyncClient() as client:
            for process in (worker, second):
                for post_id in ids:
                    state = (await client.get(f"{process.url}/tables/post_state/{post_id}")).json()
                    assert [o["score"] for o in state["observations"]] == [5]
            unknown = await client.get(f"{worker.url}/tables/post_state/nosuch")
            assert unknown.status_code == 404
            assert unknown.headers["content-type"].startswith("application/problem+json")
            metrics = await client.get(f"{worker.url}/metrics")
            assert metrics.headers["content-type"].startswith("text/plain; version=")
            metrics = (await client.get(f"{worker.url}/metrics")).text
        assert "signalflow_consumer_lag" in metrics

        async def registered(names: set[str]) -> bool:
            return {row["name"] for row in await fetch_all(settings, "SELECT name FROM workers")} == names

        await eventually(lambda: registered({"w1", "w2"}), 15)
        assert second.stop() == 0
        assert await registered({"w1"}), "a worker that stopped orderly is still registered"
    finally:
        second.ensure_stopped()


async def test_without_the_database_enriching_goes_on_a_stop_ends_in_time_and_nothing_is_lost(
    settings: Settings, worker: WorkerProcess, tmp_path: Path
) -> None:
    unreachable = WorkerProcess(settings, "w9", tmp_path, SIGNALFLOW_DATABASE_URL="postgresql://x@127.0.0.1:9/none")
    assert worker.stop() == 0
    unreachable.start()
    # More runs than the sink's queue holds: a full queue of one agent must not stop the fetching of the other.
    posts, moments = 1000, 40
    try:

        async def live() -> bool:
            async with httpx.AsyncClient() as client:
                try:
                    answer = (await client.get(f"{unreachable.url}/ready", timeout=3)).json()
                except httpx.HTTPError:
                    return False
                return bool(answer["recovered"]) and not answer["database"]

        await eventually(live, 45, unreachable.tail)
        for moment in range(moments):
            at = START + timedelta(seconds=60 * moment)
            await produce(settings, [observation(f"x{n}", at, created_at=START, score=moment) for n in range(posts)])

        async def goes_on() -> bool:
            return await unreachable.metric("signalflow_records_total", 'agent="enrich"') == posts * moments

        await eventually(goes_on, 60, unreachable.tail)
        began = asyncio.get_running_loop().time()
        unreachable.signal(signal.SIGTERM)
        await eventually(lambda: unreachable.poll() is not None, 15, unreachable.tail)
        assert asyncio.get_running_loop().time() - began < 15
    finally:
        unreachable.ensure_stopped()
    again = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    again.start()
    try:

        async def stored() -> bool:
            return await count(settings, "post_metrics_history") == posts * moments

        await eventually(stored, 60, again.tail)
        assert await compare_with_log(settings) == {}
    finally:
        again.ensure_stopped()
