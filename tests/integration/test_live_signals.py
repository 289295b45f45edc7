"""The live stream of signals: a real Kafka, a real server, real clients."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection

from signalflow.events import encode
from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.signal_events import Signal
from tests.api_clients import bearer, test_secret
from tests.live_client import Api, event_stream, frame, live_api
from tests.unit.web.live.records import signal

pytestmark = pytest.mark.integration
SOCKET, STREAM = "/ws/signals/", "/api/signals/stream"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    given = {"api_secret": SecretStr(test_secret), "live_frame_ms": 50, "live_heartbeat_seconds": 0.5}
    here = settings.model_copy(update=given)
    await create_topics(here)
    async with live_api(here, bearer(here)) as running:
        yield running


async def produce_signals(settings: Settings, *signals: Signal) -> None:
    async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
        for one in signals:
            await producer.send_and_wait(TopicNames.of(settings).signals, encode(one), key=one.key)


async def signals_until(socket: ClientConnection, last: str) -> tuple[list[dict[str, Any]], str]:
    """All signals up to one with this id, and the token after it."""
    signals: list[dict[str, Any]] = []
    while True:
        found = await frame(socket, "signals")
        signals += found["signals"]
        if any(one["id"] == last for one in found["signals"]):
            return signals, found["id"]


async def test_a_signal_reaches_socket_and_event_stream_within_two_seconds(api: Api) -> None:
    async with (
        api.socket("?subreddit=PYTHON&kind=unusual_here", path=SOCKET) as socket,
        event_stream(api, "?kind=viral&min_strength=0.5", path=STREAM) as events,
    ):
        await frame(socket, "heartbeat")
        assert (await anext(events))[1]["type"] == "heartbeat"
        await produce_signals(
            api.settings,
            signal(id="elsewhere", subreddit="rust"),
            signal(id="weak", kind="viral", subject_kind="post", subject="abc", strength=0.4),
            signal(id="strong", kind="viral", subject_kind="post", subject="abc", strength=0.73),
        )
        async with asyncio.timeout(2):
            await produce_signals(api.settings, signal(id="here"))
            signals, _ = await signals_until(socket, "here")
        assert [one["id"] for one in signals] == ["here"]
        seen: list[str] = []
        async for _, event in events:
            seen += [one["id"] for one in event.get("signals", ())]
            if "strong" in seen:
                break
        assert seen == ["strong"]
        await socket.send('{"type":"filter","min_strength":1}')
        with pytest.raises(AssertionError, match="min_strength: needs exactly one kind"):
            await frame(socket, "signals")
    async with httpx.AsyncClient(headers=api.headers) as client:
        refused = await client.get(f"{api.url}{STREAM}", params={"min_score": 1})
    assert refused.status_code == 422


async def test_a_client_of_signals_that_resumes_gets_what_it_missed_and_others_get_no_signals(api: Api) -> None:
    async with api.socket() as of_posts, api.socket(path="/ws/comments/") as of_comments:
        for other in (of_posts, of_comments):
            await frame(other, "heartbeat")
        async with api.socket(path=SOCKET) as socket:
            await frame(socket, "heartbeat")
            await produce_signals(api.settings, signal(id="s1"))
            _, token = await signals_until(socket, "s1")
        await produce_signals(api.settings, signal(id="s2"), signal(id="s3"))
        async with api.socket(f"?since={token}", path=SOCKET) as socket:
            signals, _ = await signals_until(socket, "s3")
            assert [one["id"] for one in signals] == ["s2", "s3"]
        async with api.socket(f"?since={token}") as socket:
            assert (await frame(socket, "reset", "posts"))["reason"] == "other_topic"
        for other in (of_posts, of_comments):
            assert (await frame(other, "heartbeat", "signals", "posts", "comments"))["type"] == "heartbeat"
