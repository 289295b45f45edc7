"""Tokens and credentials: one fetch however many callers, whatever the token endpoint answers."""

import asyncio
from typing import Any

import pytest
from aiohttp import BasicAuth, web
from pydantic import SecretStr

from signalflow.errors import Invalid
from signalflow.metrics import REGISTRY
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.protocol import RateLimited, Unauthorized, Unavailable
from signalflow.settings import Settings
from tests.contract.conftest import settings_for
from tests.contract.reddit_servers import RedditServer, Script, invalid_token, says, serve


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says(401, {"message": "Unauthorized", "error": 401}), Unauthorized),
        (says(403, text="<html>blocked</html>"), Unauthorized),
        (says(200, {"error": "invalid_grant"}), Unauthorized),
        (says(429, {"message": "Too Many Requests", "error": 429}), RateLimited),
        (says(429, headers={"Retry-After": "7"}), RateLimited),
        (says(404, {"reason": "banned"}), Unavailable),
        (says(503), Unavailable),
        (says(200, text="<html>hello</html>"), Unavailable),
        (says(200, text='{"access', content_type="application/json"), Unavailable),
        (says(200, {"access_token": "x"}), Unavailable),
        (says(200, {"access_token": None, "expires_in": 3600, "scope": "*"}), Unavailable),
        (says(200, {"access_token": "x", "expires_in": "long", "scope": "*"}), Unavailable),
        (says(200, {"access_token": "x", "expires_in": 0, "scope": "*"}), Unavailable),
        (says(200, []), Unavailable),
    ],
)
async def test_an_error_of_the_token_endpoint_is_translated(
    client: AsyncprawClient, script: Script, server: RedditServer, answer: Any, error: type[Exception]
) -> None:
    script.token.append(answer)
    with pytest.raises(error) as raised:
        await client.listing(["python"])
    assert type(raised.value) is error
    assert server.api_calls == []
    assert (await client.listing(["python"])).posts == ()


async def test_a_revoked_token_is_replaced_without_the_caller_noticing(
    client: AsyncprawClient, script: Script, server: RedditServer
) -> None:
    await client.listing(["python"])
    script.valid_tokens.clear()
    await client.listing(["python"])
    assert server.token_fetches == 2


async def test_a_fresh_token_that_is_refused_too_is_not_tried_again(
    client: AsyncprawClient, script: Script, server: RedditServer
) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return invalid_token()

    async def refuse_without_saying_why(_: web.Request) -> web.StreamResponse:
        return web.Response(status=401)  # asyncprawcore raises KeyError for this one

    for handler in (refuse, refuse_without_saying_why):
        before = len(server.api_calls)
        script.api += [handler, handler]
        with pytest.raises(Unauthorized):
            await client.listing(["python"])
        assert len(server.api_calls) == before + 2


async def test_ten_tasks_that_lose_their_token_fetch_one(
    client: AsyncprawClient, script: Script, server: RedditServer
) -> None:
    await client.listing(["python"])
    script.valid_tokens.clear()
    pages = await asyncio.gather(*(client.listing(["python"]) for _ in range(10)))
    assert len(pages) == 10
    assert server.token_fetches == 2, "the one before the loss and the one after it"


async def test_a_late_401_does_not_throw_away_the_new_token(
    client: AsyncprawClient, script: Script, server: RedditServer
) -> None:
    await client.listing(["python"])
    script.valid_tokens.clear()
    arrived, release = asyncio.Event(), asyncio.Event()

    async def late(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await release.wait()
        return invalid_token()

    script.api.append(late)
    slow = asyncio.create_task(client.listing(["python"]))
    await arrived.wait()
    await client.listing(["python"])
    release.set()
    await slow
    assert server.token_fetches == 2


async def test_ten_tasks_share_one_failed_token_fetch(
    client: AsyncprawClient, script: Script, server: RedditServer
) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow_failure(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await release.wait()
        return web.Response(status=503)

    script.token.append(slow_failure)
    tasks = [asyncio.create_task(client.listing(["python"])) for _ in range(10)]
    await arrived.wait()
    release.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 10
    assert server.token_fetches == 1
    await client.listing(["python"])


async def test_a_cancelled_token_fetch_leaves_the_next_caller_free(
    client: AsyncprawClient, script: Script, server: RedditServer
) -> None:
    arrived = asyncio.Event()

    async def forever(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    script.token.append(forever)
    task = asyncio.create_task(client.listing(["python"]))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        assert (await client.listing(["python"])).posts == ()


async def test_a_token_is_renewed_before_it_expires(script: Script) -> None:
    """asyncprawcore would use a token for 10 s after its end, and get one 401 per lifetime."""
    script.token.append(says(200, {"access_token": "short", "expires_in": 1, "scope": "*"}))
    script.valid_tokens.add("short")
    async with serve(script) as server:
        client = AsyncprawClient.of(settings_for(server.url))
        async with asyncio.timeout(10):
            while server.token_fetches < 2:
                await client.listing(["python"])
        await client.close()
    assert "bearer short" in {call.authorization for call in server.api_calls}
    assert script.tokens_given == 1


def test_without_credentials_or_simulator_the_settings_are_named() -> None:
    with pytest.raises(Invalid, match="SIGNALFLOW_REDDIT_CLIENT_ID"):
        AsyncprawClient.of(settings_for(""))


async def test_a_wrong_password_never_reaches_a_message(script: Script) -> None:
    script.token.append(says(401, {"message": "Unauthorized", "error": 401}))
    async with serve(script) as server:
        settings = Settings(
            reddit_base_url=server.url, reddit_client_id="my-id", reddit_client_secret=SecretStr("hunter2")
        )
        client = AsyncprawClient.of(settings)
        with pytest.raises(Unauthorized) as refused:
            await client.listing(["python"])
        await client.close()
    assert "hunter2" not in str(refused.value)
    assert server.seen[0].authorization.startswith("Basic ")


async def test_token_fetches_are_counted_where_an_operator_looks(client: AsyncprawClient) -> None:
    def fetched() -> float:
        return REGISTRY.get_sample_value("signalflow_reddit_requests_total", {"kind": "token", "outcome": "200"}) or 0.0

    before = fetched()
    await client.listing(["python"])
    await client.listing(["python"])
    assert fetched() == before + 1


async def test_credentials_in_the_environment_of_asyncpraw_are_ignored(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a user name asyncpraw would ask for a token of that account, by its password."""
    for name in ("praw_client_id", "praw_username", "praw_password", "praw_refresh_token"):
        monkeypatch.setenv(name, "someone")
    forms: list[dict[str, Any]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        forms.append(dict(await request.post()))
        return web.json_response({"access_token": "noted", "expires_in": 3600, "scope": "*"})

    script.token.append(note)
    script.valid_tokens.add("noted")
    async with serve(script) as server:
        client = AsyncprawClient.of(settings_for(server.url))
        await client.listing(["python"])
        await client.close()
    assert forms == [{"grant_type": "client_credentials"}]
    assert server.seen[0].authorization == BasicAuth("simulator", "simulator").encode()


async def test_without_another_address_reddit_itself_is_asked() -> None:
    settings = Settings(reddit_base_url="", reddit_client_id="id", reddit_client_secret=SecretStr("secret"))
    client = AsyncprawClient.of(settings)
    assert client.hosts == ("https://www.reddit.com", "https://oauth.reddit.com")
    await client.close()
