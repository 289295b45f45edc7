"""The programs to copy do what their texts say."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.events import encode
from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from tests.integration.comment_rows import comment, envelope
from tests.integration.posts_api import store
from tests.live_client import Api, live_api, publish
from tests.unit.web.live.records import enriched

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    settings = settings.model_copy(update={"api_secret": SecretStr(test_secret), "live_frame_ms": 50})
    await create_topics(settings)
    async with live_api(settings, bearer(settings)) as running:
        yield running


async def start(name: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=-1, stderr=-1, env=os.environ | environment
    )


async def finish(process: asyncio.subprocess.Process) -> list[str]:
    """The lines that a program prints."""
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()


async def test_the_consumer_prints_each_record_once_and_resumes(api: Api) -> None:
    settings = api.settings
    topic = ("--kafka", settings.kafka, "--topic", TopicNames.of(settings).posts_enriched)
    await publish(settings, [enriched("a"), enriched("b", 1)])
    first = await finish(await start("consumer.py", *topic, "--most", "2"))
    assert sorted(line.split()[0] for line in first) == ["a", "b"]
    await publish(settings, [enriched("c", 2)])
    assert [line.split()[0] for line in await finish(await start("consumer.py", *topic, "--most", "1"))] == ["c"]


async def test_the_consumer_names_what_fits_no_schema_and_goes_on(api: Api) -> None:
    settings = api.settings
    topic = TopicNames.of(settings).comments_raw
    whole = encode(envelope(comment("k1", created_utc=utcnow()), utcnow()))
    damaged = (b"no json", b"[]", b"{}", whole.replace(b'"post_id":', b'"post":'))
    foreign = whole.replace(b'"reddit_comment"', b'"../secret"')
    async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
        for value in (*damaged, foreign, None, whole):
            await producer.send_and_wait(topic, value, key=b"a", partition=0)
    process = await start("consumer.py", "--kafka", settings.kafka, "--topic", topic, "--most", "7")
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert [line.split()[0] for line in output.decode().splitlines()] == ["a"]
    named = errors.decode().splitlines()
    assert [line.partition(": ")[0] for line in named] == [f"{topic}/0/{offset}" for offset in range(6)]
    assert "has no schema: ../secret.v1" in named[4]


async def test_the_client_walks_through_the_list_and_follows_the_live_stream(api: Api) -> None:
    await store(api.settings.database_url.get_secret_value(), *({"id": f"p{n}"} for n in range(3)))
    key = api.headers["Authorization"].removeprefix("Bearer ")
    process = await start("api_client.py", "--address", api.url, "--live", "1", API_KEY=key)
    ended, seconds = asyncio.create_task(finish(process)), 0
    while not (await asyncio.wait({ended}, timeout=0.5))[0]:
        # The stream begins some time after the list was read.
        seconds += 1
        await publish(api.settings, [enriched("abc", seconds)])
    lines = ended.result()
    assert sorted(line.split()[1] for line in lines if line.startswith("stored")) == ["p0", "p1", "p2"]
    assert lines[-1].split()[:2] == ["live", "abc"]


async def test_the_client_says_what_was_wrong_with_a_request(api: Api) -> None:
    key = api.headers["Authorization"].removeprefix("Bearer ")
    process = await start("api_client.py", "--address", api.url, "--subreddit", "r/python", API_KEY=key)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert "must be a subreddit's name without r/" in errors.decode()
