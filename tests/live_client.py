"""A real API server with the live stream, and clients of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from websockets.asyncio.client import ClientConnection, connect

from signalflow.events import Enriched, encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.producer import partition_for
from signalflow.kafka.topics import TopicNames
from signalflow.local.parts import WITHOUT_CERTIFICATES
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from tests.integration.workers import eventually
from web.app import create_api
from web.server import ApiServer
from web.services import services_of

FRAME_SECONDS = 15.0


@dataclass
class Api:
    """A server that runs in this process."""

    settings: Settings
    server: ApiServer
    port: int
    headers: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hub(self) -> Any:
        return services_of(self.server._app).hub

    @property
    def hubs(self) -> tuple[Any, ...]:
        return services_of(self.server._app).hubs

    def socket(
        self, query: str = "", headers: dict[str, str] | None = None, path: str = "/ws/posts/", **options: Any
    ) -> Any:
        """A connection that opens in `async with api.socket() as socket`."""
        address = f"ws://127.0.0.1:{self.port}{path}{query}"
        return connect(address, additional_headers=self.headers if headers is None else headers, proxy=None, **options)


@asynccontextmanager
async def live_api(settings: Settings, headers: dict[str, str]) -> AsyncIterator[Api]:
    """A running server whose hub reads from Kafka. It stops as after SIGTERM."""
    port = free_ports(1)[0]
    server = ApiServer(create_api(settings), host="127.0.0.1", port=port)
    task = asyncio.create_task(server.serve())
    api = Api(settings, server, port, headers)
    try:
        await eventually(lambda: server.started and all(hub.stale_since is None for hub in api.hubs), 30)
        yield api
    finally:
        server.should_exit = True
        await task


async def publish(settings: Settings, records: Iterable[Enriched]) -> None:
    """Publish enriched records, each to the partition of its post."""
    topic = TopicNames.of(settings).posts_enriched
    async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
        sent = []
        for record in records:
            partition = partition_for(record.id.encode(), settings.topic_partitions)
            sent.append(await producer.send(topic, encode(record), key=record.id.encode(), partition=partition))
        await asyncio.gather(*sent)


async def frame(socket: ClientConnection, *types: str) -> dict[str, Any]:
    """The next frame of one of these types. Skips frames of other types, but fails on an error frame."""
    async with asyncio.timeout(FRAME_SECONDS):
        while True:
            found: dict[str, Any] = json.loads(await socket.recv())
            if found["type"] in types:
                return found
            assert found["type"] != "error", found


async def posts_until(socket: ClientConnection, last: str) -> tuple[list[dict[str, Any]], str]:
    """All posts up to one with this id, and the token after it."""
    posts: list[dict[str, Any]] = []
    while True:
        found = await frame(socket, "posts")
        posts += found["posts"]
        if any(post["id"] == last for post in found["posts"]):
            return posts, found["id"]


@asynccontextmanager
async def event_stream(
    api: Api, query: str = "", path: str = "/api/stream", **headers: str
) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    """Events of a stream, each as its id and its frame."""
    async with (
        httpx.AsyncClient(timeout=FRAME_SECONDS, verify=WITHOUT_CERTIFICATES) as client,
        client.stream("GET", f"{api.url}{path}{query}", headers=api.headers | headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def events() -> AsyncIterator[tuple[str, dict[str, Any]]]:
            id_ = ""
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    id_ = line[4:]
                elif line.startswith("data: "):
                    yield id_, json.loads(line[6:])

        yield events()
