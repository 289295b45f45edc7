"""The live stream of comments: a real Kafka, a real server, real clients."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection

from signalflow.kafka.admin import create_topics
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from tests.integration.comment_rows import produce_comments
from tests.live_client import Api, event_stream, frame, live_api, posts_until, publish
from tests.unit.web.live.records import NOT_IN_A_FEED, comment_envelope, enriched

pytestmark = pytest.mark.integration
SOCKET, STREAM = "/ws/comments/", "/api/comments/stream"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    given = {"api_secret": SecretStr(test_secret), "live_frame_ms": 50, "live_heartbeat_seconds": 0.5}
    here = settings.model_copy(update=given)
    await create_topics(here)
    async with live_api(here, bearer(here)) as running:
        yield running


async def comments_until(socket: ClientConnection, last: str) -> tuple[list[dict[str, Any]], str]:
    """All comments up to one with this id, and the token after it."""
    comments: list[dict[str, Any]] = []
    while True:
        found = await frame(socket, "comments")
        comments += found["comments"]
        if any(comment["id"] == last for comment in found["comments"]):
            return comments, found["id"]


async def test_a_comment_reaches_socket_and_event_stream_as_the_document_says(api: Api) -> None:
    async with (
        api.socket("?subreddit=python&q=rocket", path=SOCKET) as socket,
        event_stream(api, "?post_id=abc,x", path=STREAM) as events,
    ):
        await frame(socket, "heartbeat")
        assert (await anext(events))[1]["type"] == "heartbeat"
        await produce_comments(
            api.settings,
            [
                comment_envelope(id="old", mode="backfill"),
                comment_envelope(id="c1", subreddit="rust"),
                comment_envelope(id="c2", body="Nothing of the kind"),
                comment_envelope(id="c3", **NOT_IN_A_FEED),
            ],
        )
        comments, _ = await comments_until(socket, "c3")
        assert [comment["id"] for comment in comments] == ["c3"]
        assert (comments[0]["score"], comments[0]["body"]) == (None, "A text about rockets")
        seen: list[str] = []
        async for _, event in events:
            seen += [comment["id"] for comment in event.get("comments", ())]
            if "c3" in seen:
                break
        assert seen == ["c1", "c2", "c3"]
        gone = comment_envelope(5, id="c3", body=None, author=None, removed_by="deleted")
        await produce_comments(api.settings, [gone])
        removal = await frame(socket, "comments")
        assert (removal["comments"], removal["retract"]) == ([], ["c3"])
        await socket.send('{"type":"filter","trending":true}')
        with pytest.raises(AssertionError, match="trending: is unknown here; a filter has subreddit, author, q"):
            await frame(socket, "comments")
    async with httpx.AsyncClient(headers=api.headers) as client:
        document = (await client.get(f"{api.url}/api/asyncapi.json")).json()
        refused = await client.get(f"{api.url}{STREAM}", params={"min_score": 1})
    for name, sent in (("LiveComment", comments[0]), ("Comments", removal)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validator_for(schema).validate(sent)
    assert refused.status_code == 422


async def test_a_client_of_comments_that_resumes_gets_what_it_missed_and_others_get_no_comments(api: Api) -> None:
    async with api.socket() as of_posts:
        await frame(of_posts, "heartbeat")
        async with api.socket(path=SOCKET) as socket:
            await frame(socket, "heartbeat")
            await produce_comments(api.settings, [comment_envelope(id="c1")])
            _, token = await comments_until(socket, "c1")
        await produce_comments(api.settings, [comment_envelope(id="c2"), comment_envelope(id="c3")])
        async with api.socket(f"?since={token}", path=SOCKET) as socket:
            comments, _ = await comments_until(socket, "c3")
            assert [comment["id"] for comment in comments] == ["c2", "c3"]
        async with api.socket(f"?since={token}") as socket:
            assert (await frame(socket, "reset", "posts"))["reason"] == "other_topic"
        await publish(api.settings, [enriched("p1")])
        posts, _ = await posts_until(of_posts, "p1")
        assert [post["id"] for post in posts] == ["p1"]


async def test_all_kinds_share_the_limit_of_clients_and_end_with_the_server(api: Api) -> None:
    async with api.socket() as socket, api.socket(path=SOCKET):
        await frame(socket, "heartbeat")
        assert {hub._admission for hub in api.hubs} == {api.hub._admission}
        assert api.hub._admission.clients == 2
