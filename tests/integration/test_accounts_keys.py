"""API keys: scopes, expiry and last use, and their entries in the audit log."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from signalflow.clock import utcnow
from signalflow.domain.words import KeyScope, Role
from signalflow.storage.accounts import disable_user
from signalflow.storage.api_keys import add_key, identity_of_key, key_prefix, list_keys, new_key, revoke_key
from tests.api_clients import bearer
from tests.integration.accounts_api import authorized, client_of, make_user, running, settings_of
from web.services import services_of


@pytest.fixture
async def app(database_url: str, database_pool: asyncpg.Pool) -> AsyncIterator[FastAPI]:
    for role in ("reader", "operator", "admin"):
        await make_user(database_pool, f"the-{role}", role)
    async with running(settings_of(database_url)) as made:
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as made:
        yield made


async def make_key(pool: asyncpg.Pool, role: Role, *scopes: KeyScope, days: float = 1) -> str:
    key, now = new_key(), utcnow()
    await add_key(
        pool,
        key,
        user=f"the-{role}",
        label="tests",
        scopes=list(scopes),
        expires_at=now + timedelta(days=days),
        now=now,
        who="tests",
    )
    return key


# One request for each scope. The write has no body, so a key that is allowed gets a 422.
ASKED = {
    "read": ("GET", "/api/session/"),
    "config": ("POST", "/api/subreddits/"),
    "admin": ("GET", "/api/audit/"),
}


@pytest.mark.parametrize(
    ("role", "scopes", "allowed"),
    [
        ("admin", ("read",), {"read"}),
        ("admin", ("config",), {"config"}),
        ("admin", ("read", "config", "admin"), {"read", "config", "admin"}),
        ("admin", ("dlq",), set()),
        ("operator", ("read", "config", "admin"), {"read", "config"}),
        ("reader", ("read", "config", "admin"), {"read"}),
    ],
)
async def test_a_key_can_do_what_its_scopes_and_its_users_role_both_allow(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool, role: Role, scopes: tuple[KeyScope, ...], allowed: set[str]
) -> None:
    headers = authorized(await make_key(database_pool, role, *scopes))
    answers = {name: (await client.request(*asked, headers=headers)).status_code for name, asked in ASKED.items()}
    assert set(answers.values()) <= {200, 403, 422}
    assert {name for name, status in answers.items() if status != 403} == allowed


async def test_a_key_of_another_scope_reads_with_read_but_not_the_audit_log(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    headers = authorized(await make_key(database_pool, "admin", "read"))
    assert (await client.get("/api/subreddits/", headers=headers)).status_code == 200
    refused = await client.get("/api/audit/", headers=headers)
    assert (refused.status_code, "scope admin" in refused.json()["detail"]) == (403, True)


async def test_expired_revoked_wrong_and_disabled_keys_open_nothing(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    async def opens(key: str) -> int:
        return (await client.get("/api/session/", headers=authorized(key))).status_code

    good = await make_key(database_pool, "reader", "read")
    expired = await make_key(database_pool, "reader", "read", days=-1)
    revoked = await make_key(database_pool, "reader", "read")
    prefix = key_prefix(revoked)
    assert prefix is not None
    await revoke_key(database_pool, prefix, now=utcnow(), who="tests")
    guessed = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert [await opens(key) for key in (good, expired, revoked, guessed, "sfk_x", "sfk_")] == [200, *[401] * 5]
    of_disabled = await make_key(database_pool, "operator", "read")
    await disable_user(database_pool, "the-operator", now=utcnow(), who="tests")
    assert await opens(of_disabled) == 401


async def test_the_last_use_is_written_once_a_minute(database_pool: asyncpg.Pool) -> None:
    await make_user(database_pool, "the-reader")
    key = await make_key(database_pool, "reader", "read")
    began = utcnow()
    written = []
    for seconds in (0, 20, 59, 61, 100, 130):
        await identity_of_key(database_pool, key, began + timedelta(seconds=seconds))
        (row,) = await list_keys(database_pool)
        assert row.last_used_at is not None
        written.append(round((row.last_used_at - began).total_seconds()))
    assert written == [0, 0, 0, 61, 61, 130]


async def test_only_a_hash_of_the_key_is_stored(database_pool: asyncpg.Pool) -> None:
    await make_user(database_pool, "the-reader")
    key = await make_key(database_pool, "reader", "read")
    stored = str([dict(row) for row in await database_pool.fetch("SELECT * FROM api_keys")])
    stored += str([dict(row) for row in await database_pool.fetch("SELECT * FROM audit_log")])
    prefix = str(key_prefix(key))
    assert prefix in stored
    assert key.rsplit(prefix, 1)[1].removeprefix("_") not in stored


async def test_identities_are_looked_up_while_endpoints_hold_all_their_connections(
    app: FastAPI, client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    """Otherwise slow requests of one reader would make every user a reader and refuse all keys."""
    key = await make_key(database_pool, "operator", "read")
    async with AsyncExitStack() as stack:
        for _ in range(services_of(app).settings.database_pool_size):
            await stack.enter_async_context(services_of(app).pool.acquire())
        answer = await client.get("/api/session/", headers=authorized(key))
    assert (answer.status_code, answer.json()["role"]) == (200, "operator")


async def test_the_audit_log_tells_who_changed_what_newest_first_in_pages(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool, database_url: str
) -> None:
    key = await make_key(database_pool, "reader", "read")
    await revoke_key(database_pool, str(key_prefix(key)), now=utcnow(), who="cli:root")
    headers = bearer(settings_of(database_url), "admin")
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters = {"page_size": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/audit/", params=parameters, headers=headers)).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [(entry["who"], entry["action"], entry["target"]) for entry in found] == [
        ("cli:root", "key.revoke", key_prefix(key)),
        ("tests", "key.create", key_prefix(key)),
        ("tests", "user.add", "the-admin"),
        ("tests", "user.add", "the-operator"),
        ("tests", "user.add", "the-reader"),
    ]
    assert found[1]["details"]["scopes"] == ["read"]
    of_root = await client.get("/api/audit/", params={"who": "cli:root"}, headers=headers)
    assert [entry["action"] for entry in of_root.json()["items"]] == ["key.revoke"]
    nothing = await client.get("/api/audit/", params={"who": "\x00", "action": "\x00"}, headers=headers)
    assert (nothing.status_code, nothing.json()["items"]) == (200, [])
    for wrong in ("x", "-1", "9" * 19, "²"):
        answer = await client.get("/api/audit/", params={"cursor": wrong}, headers=headers)
        assert answer.status_code == 422, wrong
