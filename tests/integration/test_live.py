"""The live stream: a real Kafka, a real server, real clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from pydantic import SecretStr
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, InvalidStatus

from signalflow.events import TextFeatures
from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.metrics import API_REGISTRY
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from tests.chaos.proxy import Proxy
from tests.integration.workers import eventually
from tests.live_client import Api, event_stream, frame, live_api, posts_until, publish
from tests.unit.web.live.records import enriched
from web.api.live import transport
from web.live import resume
from web.live.fanout import Fanout
from web.live.token import encode_token
from web.services import services_of

NO_POST = "?id=zzzzzz"


@pytest.fixture
def live_settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "api_secret": SecretStr(test_secret),
            "live_frame_ms": 50,
            "live_heartbeat_seconds": 0.5,
            "live_clients_per_user": 3,
        }
    )


@pytest.fixture
async def api(live_settings: Settings) -> AsyncIterator[Api]:
    await create_topics(live_settings)
    async with live_api(live_settings, bearer(live_settings)) as running:
        yield running


async def status_of(api: Api, query: str = "", **options: Any) -> int:
    """The status with which a socket is refused before its handshake."""
    with pytest.raises(InvalidStatus) as caught:
        async with api.socket(query, **options):
            pass
    answer = caught.value.response
    assert answer.headers["content-type"] == "application/problem+json"
    return int(answer.status_code)


async def test_an_observation_reaches_socket_and_event_stream_under_the_names_of_the_api(api: Api) -> None:
    """Frames match the AsyncAPI document. A backfill and a late observation are not sent."""
    nlp = TextFeatures(sentiment_score=0.5, sentiment_label="positive", keywords=["kubernetes"])
    async with api.socket() as socket, event_stream(api) as events:
        first = await frame(socket, "heartbeat")
        assert (await anext(events))[1]["type"] == "heartbeat"
        await publish(
            api.settings,
            [
                enriched("old", mode="backfill"),
                enriched("late", late=True),
                enriched("abc", 1, title="Zürich", current_score=7, score_velocity=0.5, nlp=nlp),
            ],
        )
        found = await frame(socket, "posts")
        async for id_, event in events:
            if event["type"] == "posts":
                assert (id_, event) == (found["id"], found)
                break
    (post,) = found["posts"]
    assert (post["id"], post["title"], post["current_score"], post["score_velocity"]) == ("abc", "Zürich", 7, 0.5)
    assert post["comment_velocity"] is None
    assert post["nlp"]["keywords"] == ["kubernetes"]
    async with httpx.AsyncClient(headers=api.headers) as client:
        document = (await client.get(f"{api.url}/api/asyncapi.json")).json()
        rest = (await client.get(f"{api.url}/api/openapi.json")).json()
    same = set(rest["components"]["schemas"]["PostOut"]["properties"]) & set(post)
    assert {"id", "title", "current_score", "trending_score", "is_trending", "score_velocity", "nlp"} <= same
    for name, message in (("Posts", found), ("Heartbeat", first)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validator_for(schema).validate(message)


async def test_filters_hold_at_connect_and_when_changed_on_the_socket(api: Api) -> None:
    async with api.socket("?subreddit=rust") as socket:
        await frame(socket, "heartbeat")
        await publish(api.settings, [enriched("p1", subreddit="python"), enriched("r1", subreddit="Rust")])
        posts, _ = await posts_until(socket, "r1")
        assert [post["id"] for post in posts] == ["r1"]
        await socket.send('{"type":"filter","min_score":"many"}')
        with pytest.raises(AssertionError, match="min_score"):
            await frame(socket, "posts")
        await socket.send('{"type":"filter","min_score":5}')
        while (beat := await frame(socket, "heartbeat"))["skipped"] < 1:
            pass
        assert beat["sent"] == 1
        await publish(api.settings, [enriched("r2", subreddit="Rust"), enriched("p2", current_score=5)])
        posts, _ = await posts_until(socket, "p2")
        assert [post["id"] for post in posts] == ["p2"]


async def test_a_search_holds_on_socket_and_event_stream_and_a_wrong_one_is_named(api: Api) -> None:
    phrase = "?q=%22rocket+engines%22"
    async with api.socket("?q=rocket+-toy&shown=true") as socket, event_stream(api, phrase) as events:
        await frame(socket, "heartbeat")
        await anext(events)
        titles = {"r1": "A toy rocket", "r2": "ROCKETS", "r3": "Rocket engines", "r4": "Mars", "r5": "The moon"}
        await publish(api.settings, [enriched(id_, title=title) for id_, title in titles.items()])
        found: set[str] = set()
        while len(found) < 2:
            found |= {post["id"] for post in (await frame(socket, "posts"))["posts"]}
        assert found == {"r2", "r3"}
        async for _, event in events:
            if event["type"] == "posts":
                assert [post["id"] for post in event["posts"]] == ["r3"]
                break
        await socket.send('{"type":"filter","q":""}')
        with pytest.raises(AssertionError, match="q: must be a search"):
            await frame(socket, "posts")
        await socket.send('{"type":"filter","q":"mars score>many"}')
        with pytest.raises(AssertionError, match="q: many is no number"):
            await frame(socket, "posts")
        await socket.send('{"type":"filter","q":"(mars or moon) score>4 -subreddit:rust"}')
        while (await frame(socket, "heartbeat"))["skipped"] < 3:
            pass
        await publish(
            api.settings,
            [
                enriched("m0", title="Mars", current_score=4),
                enriched("m2", title="Mars", current_score=5, subreddit="Rust"),
                enriched("m1", title="To Mars", current_score=5),
            ],
        )
        posts, _ = await posts_until(socket, "m1")
        assert [post["id"] for post in posts] == ["m1"]
    async with httpx.AsyncClient(headers=api.headers) as client:
        problem = (await client.get(f"{api.url}/api/stream", params={"q": "x" * 501})).json()
        assert (problem["status"], "q: must be a search of 1 to 500" in problem["detail"]) == (422, True)


async def test_records_that_the_stream_has_not_read_are_its_lag(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def lag() -> float | None:
        return API_REGISTRY.get_sample_value("signalflow_live_lag")

    def no_room(fanout: Fanout) -> int:
        asked.append(fanout)
        return 0

    asked: list[Fanout] = []
    with monkeypatch.context() as full:
        full.setattr("web.live.hub.LAG_SECONDS", 0.05)
        full.setattr(Fanout, "room", property(no_room))
        await eventually(lambda: asked, 10)
        await publish(api.settings, [enriched(f"p{number}", number) for number in range(5)])
        await eventually(lambda: lag() == 5, 10)
    await eventually(lambda: lag() == 0, 20)


async def test_a_client_that_resumes_gets_what_it_missed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One server has the records in memory. Another one started later and reads them from Kafka."""
    async with api.socket() as socket:
        await publish(api.settings, [enriched("a", 1)])
        _, token = await posts_until(socket, "a")
    await publish(api.settings, [enriched(f"b{number}", number) for number in range(40)] + [enriched("b0", 99)])
    await eventually(lambda: sum(api.hub._fanout.told) >= 42, 10)
    async with api.socket(f"?since={token}") as socket:
        posts, _ = await posts_until(socket, "b0")
    assert sorted(post["id"] for post in posts) == sorted(f"b{number}" for number in range(40))
    assert next(post for post in posts if post["id"] == "b0")["observed_at"] == "2026-01-01T00:01:39Z"
    forgetful = api.settings.model_copy(update={"live_tail_records": 4})
    async with live_api(forgetful, api.headers) as other:
        async with event_stream(other, **{"Last-Event-ID": token}) as events:
            again: list[str] = []
            async for _, event in events:
                again += [post["id"] for post in event.get("posts", ())]
                if len(again) >= 40:
                    break
        # Live goes on behind it, in the same connection.
        async with other.socket(f"?since={token}&id=b0,c") as socket:
            await frame(socket, "posts")
            await publish(other.settings, [enriched("c", 1)])
            await posts_until(socket, "c")
    assert sorted(again) == sorted(f"b{number}" for number in range(40))


async def test_a_client_that_resumes_too_late_is_told(api: Api) -> None:
    async with api.socket() as socket:
        token = (await frame(socket, "heartbeat"))["id"]
    await publish(api.settings, [enriched("a", 1), enriched("a", 2)])
    await eventually(lambda: sum(api.hub._fanout.told) == 2, 10)
    topic = TopicNames.of(api.settings).posts_enriched
    partition = api.hub._fanout.told.index(2)
    async with AIOKafkaAdminClientContext(api.settings.kafka) as admin:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(1)}, timeout_ms=5000)
    strange = encode_token(UUID(int=5), api.hub._fanout.told)
    ahead = encode_token(api.hub._fanout.topic, [9] * len(api.hub._fanout.told))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "AHEAD_SECONDS", 0.3)
        for given, reason in ((strange, "other_topic"), (ahead, "ahead")):
            async with api.socket(f"?since={given}") as socket:
                assert (await frame(socket, "reset"))["reason"] == reason
    forgetful = api.settings.model_copy(update={"live_tail_records": 4})
    async with live_api(forgetful, api.headers) as other, other.socket(f"?since={token}") as socket:
        assert (await frame(socket, "reset"))["reason"] == "expired"
        await publish(other.settings, [enriched("b", 1)])
        await posts_until(socket, "b")


class AIOKafkaAdminClientContext:
    """An admin client that is closed at the end."""

    def __init__(self, kafka: str) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=kafka)

    async def __aenter__(self) -> Any:
        await self._admin.start()
        return self._admin

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()


async def test_a_client_without_the_right_to_read_is_refused_before_the_stream_begins(api: Api) -> None:
    own = {"Origin": api.url}
    assert await status_of(api, headers={}) == 401
    assert await status_of(api, headers=api.headers | {"Origin": "https://elsewhere.example"}) == 403
    assert await status_of(api, "?since=nonsense") == 422
    assert await status_of(api, "?min_score=many") == 422
    async with httpx.AsyncClient() as client:
        for headers, query, status in (
            ({}, "", 401),
            (api.headers | {"Origin": "https://elsewhere.example"}, "", 403),
            (api.headers, "?since=nonsense", 422),
            (api.headers | {"Last-Event-ID": "x"}, "", 422),
            (api.headers, "?trending=perhaps", 422),
        ):
            assert (await client.get(f"{api.url}/api/stream{query}", headers=headers)).status_code == status
    async with api.socket(headers=api.headers | own) as one, api.socket() as two, api.socket() as three:
        for socket in (one, two, three):
            await frame(socket, "heartbeat")
        assert await status_of(api) == 429


async def test_a_sign_in_that_ends_ends_the_stream(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RECHECK_SECONDS", 0.2)
    async with api.socket() as socket:
        await frame(socket, "heartbeat")
        services = services_of(api.server._app)

        async def nobody(_: object) -> None:
            return None

        monkeypatch.setattr(services.accounts.identities, "of_session", nobody)
        reason = await closed(socket)
    assert reason == (1008, "expired")


async def closed(socket: Any) -> tuple[int, str]:
    """Close code and reason."""
    async with asyncio.timeout(15):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


async def test_a_client_that_floods_is_dropped(api: Api) -> None:
    async with api.socket() as socket:
        for _ in range(50):
            await socket.send('{"type":"filter"}')
        assert await closed(socket) == (1008, "flood")


async def test_a_client_that_reads_nothing_is_dropped_and_the_others_go_on(live_settings: Settings) -> None:
    impatient = live_settings.model_copy(update={"live_stall_seconds": 1.5})
    await create_topics(impatient)
    async with (
        live_api(impatient, bearer(impatient)) as api,
        # It does not read the closing message either, so it must not wait for it.
        api.socket(max_queue=1, close_timeout=0.2) as silent,
        api.socket() as socket,
    ):
        silent.transport.pause_reading()
        reading = asyncio.create_task(posts_until(socket, "end"))
        for number in range(100):
            if len(api.hub._queues) < 2:
                break
            await publish(api.settings, [enriched(f"p{number}x{n}", url="u" * 35_000) for n in range(20)])
        await eventually(lambda: len(api.hub._queues) == 1, 15)
        await publish(api.settings, [enriched("end")])
        await reading


async def test_a_server_that_stops_says_so_to_all(api: Api) -> None:
    async with api.socket() as socket, event_stream(api) as events:
        await frame(socket, "heartbeat")
        await anext(events)
        api.server.should_exit = True
        assert await closed(socket) == (1012, "restart")
        last = [event async for _, event in events][-1]
    assert (last["type"], last["code"]) == ("error", "restart")


async def readiness(api: Api) -> Any:
    """The answer of /ready. It says that the API is not ready, because its database has no schema."""
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{api.url}/ready")).json()


async def test_after_an_outage_of_kafka_the_stream_goes_on_where_it_was(
    live_settings: Settings, kafka_server: EmbeddedKafka
) -> None:
    """Kafka is there for all but this server: clients are told that the stream is stale, stay, and miss nothing."""
    await create_topics(live_settings)
    ((behind, port),) = kafka_server.relayed
    way = Proxy(port, upstream=behind)
    await way.start()
    relayed = live_settings.model_copy(update={"kafka": f"127.0.0.1:{port}"})
    try:
        async with live_api(relayed, bearer(relayed)) as api, api.socket() as socket:
            await publish(live_settings, [enriched("before")])
            await posts_until(socket, "before")
            with capture_logs() as logged:
                way.cut()
                while (stale_since := (await frame(socket, "heartbeat"))["stale_since"]) is None:
                    pass
            reasons = [event["error"] for event in logged if event["event"] == "live_stale"]
            assert reasons
            assert all(f"Kafka at {relayed.kafka} does not answer: " in reason for reason in reasons)
            assert (await readiness(api))["live_stale_since"] == stale_since
            await publish(live_settings, [enriched("after", 1), enriched("after2", 2)])
            way.heal()
            posts, _ = await posts_until(socket, "after2")
            while (await frame(socket, "heartbeat"))["stale_since"] is not None:
                pass
            assert (await readiness(api))["live_stale_since"] is None
        assert {post["id"] for post in posts} == {"after", "after2"}
    finally:
        await way.close()
