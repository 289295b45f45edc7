"""Where a text is still found: in a dump of the database, in files, in topics, in the cache, and in answers of the API.

Each function returns what it found as sentences for the message of a failing test.
"""

import asyncio
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from redis.asyncio import Redis

from signalflow.backup.programs import find
from signalflow.kafka.connection import connection_options
from signalflow.settings import Settings
from tests.integration.workers import read_topic

WEEK_MS = 7 * 24 * 3600 * 1000
# Each shows text of posts or counts it. The window holds every post of the simulator.
ANSWERS = (
    *("/api/posts/", "/api/stats/?window=7d", "/api/keywords/?window=7d&limit=200", "/api/comments/"),
    "/api/topics/?min_posts=2",
)


def traces(where: str, content: bytes, needles: Iterable[str]) -> set[str]:
    """The needles in these bytes, whatever their case."""
    folded = content.lower()
    return {f"{needle} in {where}" for needle in needles if needle.lower().encode() in folded}


async def in_database(settings: Settings, needles: Iterable[str]) -> set[str]:
    """Traces in all that pg_dump writes of the database, also the statistics that the planner keeps of columns.

    A dump has bytes as hexadecimal digits.
    """
    program = find("pg_dump", 18, tls=False).path
    command = [str(program), "--statistics", settings.database_url.get_secret_value()]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60, check=True)
    folded, found = done.stdout.lower(), set()
    for needle in needles:
        for form in (needle.lower().encode(), needle.encode().hex().encode()):
            for match in re.finditer(re.escape(form), folded):
                around = done.stdout[max(match.start() - 150, 0) : match.end() + 50]
                found.add(f"{needle} in the dump of the database: {around!r}")
    return found


def in_files(places: Iterable[Path], needles: Iterable[str]) -> set[str]:
    """Traces in the bytes of these files, and of all files below these directories."""
    needles = list(needles)
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return set().union(*(traces(str(file), file.read_bytes(), needles) for file in files if file.is_file()))


async def topics_of(settings: Settings) -> dict[str, dict[str, str]]:
    """Every topic of this installation on the brokers, with its properties there."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        names = [
            name for name in await admin.list_topics() if name.startswith((settings.topic_prefix, settings.app_id))
        ]
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    finally:
        await admin.close()
    found = [resource for answer in answers for resource in answer.resources]
    return {name: {entry[0]: entry[1] for entry in entries} for *_, name, entries in found}


async def in_topics(settings: Settings, needles: Iterable[str]) -> set[str]:
    """Traces in topics, each read whole, that do not end with the age of their records.

    Nothing can be taken out of a topic. So older records of a topic that keeps them for seven days at most may have
    traces, and so may dead letters. The newest record of each key may not: from it readers learn that the text is gone.
    """
    needles, found = list(needles), set()
    for name, config in (await topics_of(settings)).items():
        # The leader's topic has one partition, and the others as many as the settings say.
        partitions = settings.model_copy(
            update={"topic_partitions": 1 if "leader" in name else settings.topic_partitions}
        )
        records = await read_topic(partitions, name)
        if config["cleanup.policy"] != "delete" or int(config["retention.ms"]) + int(config["segment.ms"]) > WEEK_MS:
            found |= {f"{trace}, for ever" for record in records for trace in traces(name, _bytes(record), needles)}
        elif not name.endswith(".dlq"):
            newest = {record.key: record for record in records}
            found |= {trace for record in newest.values() for trace in traces(name, _bytes(record), needles)}
    return found


def _bytes(record: Any) -> bytes:
    headers = b" ".join(value or b"" for _, value in record.headers)
    return b" ".join((record.key or b"", record.value or b"", headers))


async def in_cache(redis_url: str, needles: Iterable[str]) -> set[str]:
    """Traces in the keys and values of a Redis."""
    needles, found = list(needles), set()
    async with Redis.from_url(redis_url) as redis:
        async for key in redis.scan_iter():
            value = await redis.get(key) if await redis.type(key) == b"string" else await redis.dump(key)
            found |= traces(f"the cache, {key!r}", key + (value or b""), needles)
    return found


async def in_answers(url: str, headers: dict[str, str], needles: Iterable[str], ids: Iterable[str]) -> set[str]:
    """Traces in what the API answers, of these posts each alone too."""
    needles, found = list(needles), set()
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        for path in (*ANSWERS, *(f"/api/posts/{id_}/{more}" for id_ in ids for more in ("", "comments/"))):
            answer = await client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            found |= traces(path, answer.content, needles)
    return found
