"""`signalflow mcp`, asked by the client of the protocol's own SDK, over a real API and a real database."""

import re
import subprocess
import sys
import threading
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import httpx2
import pytest
import uvicorn
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from signalflow.assistants.api import Api
from signalflow.assistants.server import TOOLS, create_server
from signalflow.clock import utcnow
from signalflow.domain.words import KeyScope
from signalflow.local.ports import free_ports
from signalflow.storage.api_keys import add_key, new_key
from signalflow.storage.comment_writer import write_comments
from tests.integration.accounts_api import make_user, settings_of
from tests.integration.comment_rows import comment, seen
from tests.integration.posts_api import store
from tests.integration.signal_rows import store_signals, viral
from tests.integration.storage_rows import NOON, pool_of
from tests.integration.workers import eventually
from web.app import create_api

PROGRAM = str(Path(sys.executable).with_name("signalflow"))
WORDS_OF_A_KEY = "signalflow key create USER"


@pytest.fixture
async def address(database_url: str) -> AsyncIterator[str]:
    """The address of an API on the database of the test, with two posts and a comment."""
    await store(
        database_url,
        {"id": "quiet", "subreddit": "python", "title": "A ferry timetable", "trend_velocity": 0.01},
        {"id": "rises", "subreddit": "rust", "title": "Rockets land", "body": "On a barge.", "trend_velocity": 3.0},
    )
    async with await pool_of(database_url) as pool:
        await write_comments(pool, [seen(comment("c1", post_id="rises", body="What a landing"))])
    port = free_ports(1)[0]
    config = uvicorn.Config(create_api(settings_of(database_url)), port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        await eventually(lambda: server.started, 30)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


async def make_key(pool: asyncpg.Pool, scope: KeyScope = "read") -> str:
    key, now = new_key(), utcnow()
    await make_user(pool, f"of-{scope}", "admin")
    expires_at = now + timedelta(days=1)
    await add_key(
        pool, key, user=f"of-{scope}", label="tests", scopes=[scope], expires_at=expires_at, now=now, who="tests"
    )
    return key


@asynccontextmanager
async def assistant_of(address: str, key: str | None) -> AsyncIterator[Client]:
    """An assistant in this process, with a server that reads from this API."""
    async with httpx.AsyncClient(base_url=address) as client, Client(create_server(Api(client), key)) as assistant:
        yield assistant


async def answer(assistant: Client, tool: str, **arguments: Any) -> Any:
    result = await assistant.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refusal(assistant: Client, tool: str, **arguments: Any) -> str:
    result = await assistant.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content)


async def test_every_tool_reads_what_is_stored(address: str, database_pool: asyncpg.Pool) -> None:
    async with assistant_of(address, await make_key(database_pool)) as assistant:
        [found] = (await answer(assistant, "search_posts", words="barges", subreddits=["rust"]))["items"]
        assert (found["id"], found["title"]) == ("rises", "Rockets land")
        assert "url" not in found, "what is unknown is left out"
        page = await answer(assistant, "search_posts", limit=1)
        following = await answer(assistant, "search_posts", limit=1, cursor=page["next"])
        assert {each["id"] for each in page["items"] + following["items"]} == {"quiet", "rises"}
        await store_signals(database_pool, viral("rises", subreddit="rust"), viral("quiet", ended_at=NOON))
        [signal] = (await answer(assistant, "signals"))["items"]
        assert (signal["id"], signal["how_sure"]) == ("viral-rises", "73 % likely")
        of_all = await answer(assistant, "signals", active=False, kinds=["viral"], limit=1)
        assert of_all["next"], "those that have ended come too"
        rising = await answer(assistant, "rising_posts")
        assert [each["id"] for each in rising["items"]] == ["rises", "quiet"]
        assert (await answer(assistant, "post", id="rises"))["body"] == "On a barge."
        assert (await answer(assistant, "post_history", id="rises", interval="raw"))["id"] == "rises"
        assert [each["id"] for each in (await answer(assistant, "discussion", id="rises"))["items"]] == ["c1"]
        assert [each["id"] for each in (await answer(assistant, "search_comments", words="landing"))["items"]] == ["c1"]
        compared = await answer(assistant, "compare_subreddits", subreddits=["python", "rust"], window="7d")
        assert {name: stats["overview"]["posts"] for name, stats in compared.items()} == {"python": 1, "rust": 1}
        assert {name: stats["overview"]["took_off"] for name, stats in compared.items()} == {"python": 1, "rust": 1}
        assert [each["id"] for each in compared["rust"]["top_posts"]] == ["rises"]
        assert "items" in await answer(assistant, "coverage")


async def test_a_tool_says_that_it_only_reads_and_what_its_arguments_mean(address: str) -> None:
    async with assistant_of(address, "a key") as assistant:
        tools = (await assistant.list_tools()).tools
        assert {tool.name for tool in tools} == {tool.__name__ for tool in TOOLS}
        for tool in tools:
            assert tool.annotations
            assert tool.annotations.read_only_hint
            assert tool.description
            for name, schema in tool.input_schema["properties"].items():
                assert schema.get("description"), f"{tool.name} {name}"


async def test_a_refusal_says_what_is_wrong_and_what_to_do(address: str, database_pool: asyncpg.Pool) -> None:
    async with assistant_of(address, await make_key(database_pool)) as assistant:
        assert "There is no post gone1" in await refusal(assistant, "post", id="gone1")
        assert "created_from" in await refusal(assistant, "search_posts", created_from="yesterday")
        assert "at most 7d" in await refusal(assistant, "compare_subreddits", subreddits=["rust"], window="90d")
    async with assistant_of(address, "a wrong key") as assistant:
        assert WORDS_OF_A_KEY in await refusal(assistant, "rising_posts")
    async with assistant_of(address, await make_key(database_pool, "dlq")) as assistant:
        assert "scope read" in await refusal(assistant, "rising_posts")
    async with assistant_of(f"http://127.0.0.1:{free_ports(1)[0]}", "a key") as assistant:
        assert "does not answer" in await refusal(assistant, "rising_posts")


async def test_an_assistant_starts_the_command_and_talks_over_its_standard_streams(
    address: str, database_pool: asyncpg.Pool, tmp_path: Path
) -> None:
    key = await make_key(database_pool)
    command = StdioServerParameters(
        command=PROGRAM, args=["mcp", "--url", address], env={"SIGNALFLOW_API_KEY": key}, cwd=tmp_path
    )
    async with Client(command) as assistant:
        assert [each["id"] for each in (await answer(assistant, "search_posts", words="ferries"))["items"]] == ["quiet"]


async def test_over_http_each_request_brings_its_own_key(address: str, database_pool: asyncpg.Pool) -> None:
    key = await make_key(database_pool)
    process = await create_subprocess_exec(PROGRAM, "mcp", "--http", "--port", "0", "--url", address, stdout=PIPE)
    try:
        assert process.stdout
        found = re.search(r"http://\S+/mcp", (await process.stdout.readline()).decode())
        assert found
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
            async with Client(streamable_http_client(found[0], http_client=client)) as assistant:
                assert len((await answer(assistant, "rising_posts"))["items"]) == 2
            rebound = await client.post(found[0], json={}, headers={"Host": "evil.example"})
            assert rebound.status_code == 421
        async with httpx2.AsyncClient() as client:
            nobody = await client.post(found[0], json={})
            assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert WORDS_OF_A_KEY in nobody.text
    finally:
        process.terminate()
        await process.wait()


def test_without_a_key_the_command_says_how_to_make_one(tmp_path: Path) -> None:
    done = subprocess.run([PROGRAM, "mcp"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert "SIGNALFLOW_API_KEY" in said
    assert WORDS_OF_A_KEY in said
