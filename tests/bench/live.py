"""How long an enriched observation takes from its producer to live clients, and how much CPU the API process uses."""

import asyncio
import json
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import psutil
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.enrichment import Enricher, microseconds
from signalflow.events import Enriched, Source, encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from tests.bench.api import running_api
from tests.bench.load import Load
from tests.bench.stack import Stack

PER_SECOND = 100
POSTS = 2_000
CLIENTS = (1, 1_000)
# This many clients check all observations; the others only the oldest of each frame.
SAMPLED = 20


async def live(stack: Stack, seconds: int) -> dict[str, Any]:
    """Latency of one API process at 100 observations/s, with one client and with a thousand that filter alike."""
    settings = (await stack.installation("live")).model_copy(update={"api_secret": SecretStr(test_secret)})
    headers = "\r\n".join(f"{name}: {value}" for name, value in bearer(settings).items())
    observations = _observations(settings)
    result: dict[str, Any] = {"events_per_s": PER_SECOND, "seconds": seconds}
    with running_api(_reads_kafka, _environment(settings)) as (address, process):
        port, api = int(address.rpartition(":")[2]), psutil.Process(process.pid)
        for clients in CLIENTS:
            result[f"clients_{clients}"] = await _measure(settings, observations, port, api, headers, clients, seconds)
    return result


async def _measure(
    settings: Settings,
    observations: list[Enriched],
    port: int,
    api: psutil.Process,
    headers: str,
    clients: int,
    seconds: int,
) -> dict[str, Any]:
    watching = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.live_clients", str(port), str(clients), str(min(SAMPLED, clients))),
        str(seconds),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert watching.stdin is not None
    assert watching.stdout is not None
    watching.stdin.write(headers.encode())
    watching.stdin.close()
    assert (await watching.stdout.readline()).strip() == b"ready"
    before, began = api.cpu_times(), time.monotonic()
    await _send(settings, observations, seconds)
    passed, after = time.monotonic() - began, api.cpu_times()
    used = after.user + after.system - before.user - before.system
    seen: dict[str, Any] = json.loads(await watching.stdout.readline())
    await watching.wait()
    return seen | {
        "api_cores": round(used / passed, 2),
        "clients_cores": round(seen.pop("cpu_s") / passed, 2),
        "api_rss_mb": api.memory_info().rss >> 20,
    }


async def _send(settings: Settings, observations: list[Enriched], seconds: int) -> None:
    """Send one observation every 10 ms. Its author is the time at which it was due."""
    topic = TopicNames.of(settings).posts_enriched
    async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
        began = time.monotonic_ns()
        for number in range(seconds * PER_SECOND):
            due = began + number * 1_000_000_000 // PER_SECOND
            await asyncio.sleep(max((due - time.monotonic_ns()) / 1e9, 0))
            made = observations[number % len(observations)]
            record = replace(made, author=str(due), observed_at=utcnow())
            await producer.send(topic, encode(record), key=record.id.encode())


def _observations(settings: Settings) -> list[Enriched]:
    """Enriched observations of posts with real titles."""
    enricher = Enricher(settings)
    load = Load(POSTS, utcnow() - timedelta(hours=1))
    source = Source(topic="bench", partition=0, offset=0)
    return [
        replace(
            enricher.enrich(envelope, source, microseconds(envelope.metadata.observed_at), lambda: None)[0], late=False
        )
        for envelope in load.envelopes(POSTS)
    ]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "SIGNALFLOW_KAFKA": settings.kafka,
        "SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value(),
        "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
        "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "SIGNALFLOW_LIVE_CLIENTS_PER_USER": "2000",
        "SIGNALFLOW_RATE_LIMIT_PER_MINUTE": "1000000",
    }


def _reads_kafka(_address: str, log: str) -> bool:
    return "live_reading" in log
