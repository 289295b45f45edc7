"""Tokens for programs: signing in, refreshing, and what ends access."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher
from structlog.testing import capture_logs

from signalflow.clock import utcnow
from signalflow.storage.accounts import disable_user, enable_user, set_password, set_role
from tests.integration.accounts_api import (
    HASHER,
    PASSWORD,
    client_of,
    make_user,
    running,
    settings_of,
    sign_in,
    status,
)
from tests.integration.workers import eventually
from web.auth.identities import FRESH_SECONDS, Identities
from web.services import services_of

SLASHES = ["", "/"]


@pytest.fixture
async def app(database_url: str, database_pool: asyncpg.Pool) -> AsyncIterator[FastAPI]:
    """An API with one user, the reader ada."""
    await make_user(database_pool)
    async with running(settings_of(database_url)) as made:
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as made:
        yield made


async def elsewhere(url: str, token: str) -> int:
    """The status of a request with this token to another API process, whose memory is empty."""
    async with running(settings_of(url)) as other, client_of(other) as client:
        return await status(client, token)


@pytest.mark.parametrize("slash", SLASHES)
@pytest.mark.parametrize("name", ["ada", "ADA", " Ada "])
async def test_name_and_password_give_tokens_by_json_and_by_form(
    client: httpx.AsyncClient, slash: str, name: str
) -> None:
    given = {"username": name, "password": PASSWORD}
    for answer in (
        await client.post(f"/api/token{slash}", json=given),
        await client.post(f"/api/token{slash}", data=given | {"grant_type": "password"}),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        tokens = answer.json()
        assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 600)
        assert await status(client, tokens["access"]) == 200
        assert await status(client, tokens["refresh"]) == 401


async def test_every_failed_sign_in_gets_the_same_answer(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    await make_user(database_pool, "gone")
    await disable_user(database_pool, "gone", now=utcnow(), who="tests")
    await make_user(database_pool, "linked", password=None)
    wrong = [
        ("ada", "not her password"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("linked", PASSWORD),
        ("linked", "x"),
        ("a\x00da", PASSWORD),
    ]
    answers = [
        await client.post("/api/token/", json={"username": name, "password": password}) for name, password in wrong
    ]
    assert {answer.status_code for answer in answers} == {401}
    ids = {answer.json()["request_id"] for answer in answers}
    assert len(ids) == len(answers)
    assert len({answer.text.replace(answer.json()["request_id"], "") for answer in answers}) == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"username": "ada"}, {"username": "", "password": ""}, {"username": "a" * 65, "password": "b"}, [], None],
)
async def test_a_body_that_makes_no_sense_is_a_422_that_names_what_is_wrong(
    client: httpx.AsyncClient, body: object
) -> None:
    answer = await client.post("/api/token/", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize("slash", SLASHES)
async def test_a_refresh_token_gives_the_next_pair_and_is_then_used_up(client: httpx.AsyncClient, slash: str) -> None:
    first = await sign_in(client)
    second = (await client.post(f"/api/token/refresh{slash}", json={"refresh": first["refresh"]})).json()
    third = (await client.post(f"/api/token/refresh{slash}", data={"refresh": second["refresh"]})).json()
    assert len({first["refresh"], second["refresh"], third["refresh"]}) == 3
    assert await status(client, third["access"]) == 200


async def test_reuse_of_a_refresh_token_ends_the_sign_in_with_all_its_tokens_and_no_other(
    client: httpx.AsyncClient, database_url: str
) -> None:
    stolen, other = await sign_in(client), await sign_in(client)
    following = (await client.post("/api/token/refresh/", json={"refresh": stolen["refresh"]})).json()
    assert await status(client, following["access"]) == 200
    again = await client.post("/api/token/refresh/", json={"refresh": stolen["refresh"]})
    assert again.status_code == 401
    # At once in the process that saw the reuse, and in every process that looks the session up.
    assert await status(client, following["access"]) == 401
    assert await elsewhere(database_url, following["access"]) == 401
    assert (await client.post("/api/token/refresh/", json={"refresh": following["refresh"]})).status_code == 401
    assert await status(client, other["access"]) == 200
    assert (await client.post("/api/token/refresh/", json={"refresh": other["refresh"]})).status_code == 200


async def test_reuse_of_a_refresh_token_ends_the_sign_in_even_above_the_rate_limit(
    client: httpx.AsyncClient,
) -> None:
    began = utcnow()
    stolen = await sign_in(client)
    refreshed_from = utcnow()
    following = (await client.post("/api/token/refresh/", json={"refresh": stolen["refresh"]})).json()
    assert await status(client, following["access"]) == 200
    while (await client.post("/api/token/refresh/", json={"refresh": "unknown"})).status_code != 429:
        pass
    with capture_logs() as logs:
        again = await client.post("/api/token/refresh/", json={"refresh": stolen["refresh"]})
    assert again.status_code == 429
    (told,) = (line for line in logs if line["event"] == "refresh_token_reused")
    assert told["user"] == "ada"
    issued, used = (datetime.fromisoformat(told[name]) for name in ("issued_at", "used_at"))
    assert began <= issued <= refreshed_from <= used <= utcnow()
    assert await status(client, following["access"]) == 401


async def test_of_two_simultaneous_refreshes_one_wins_and_the_sign_in_ends(
    client: httpx.AsyncClient, database_url: str, database_pool: asyncpg.Pool
) -> None:
    """A third transaction locks the row of the token until both requests wait for it, so that they really compete."""
    tokens = await sign_in(client)
    async with running(settings_of(database_url)) as second, client_of(second) as other:
        async with database_pool.acquire() as holder, holder.transaction():
            await holder.execute("SELECT FROM refresh_tokens FOR UPDATE")
            racing = [
                asyncio.create_task(one.post("/api/token/refresh/", json={"refresh": tokens["refresh"]}))
                for one in (client, other)
            ]
            await eventually(lambda: both_wait_for_a_lock(database_pool), 4)
        answers = await asyncio.gather(*racing)
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert await elsewhere(database_url, won["access"]) == 401
    assert (await client.post("/api/token/refresh/", json={"refresh": won["refresh"]})).status_code == 401


async def both_wait_for_a_lock(pool: asyncpg.Pool) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await pool.fetchval(query) == 2)


async def test_a_sign_in_ends_after_its_time_however_often_it_was_refreshed(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    tokens = await sign_in(client)
    await database_pool.execute("UPDATE sessions SET expires_at = now() - interval '1 second'")
    assert (await client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})).status_code == 401


@pytest.mark.parametrize("slash", SLASHES)
async def test_verify_tells_valid_tokens_from_others(client: httpx.AsyncClient, slash: str) -> None:
    tokens = await sign_in(client)
    valid = await client.post(f"/api/token/verify{slash}", json={"token": tokens["access"]})
    assert (valid.status_code, valid.json()) == (200, {"name": "ada"})
    for other in (tokens["refresh"], tokens["access"] + "x", "x"):
        assert (await client.post(f"/api/token/verify{slash}", json={"token": other})).status_code == 401


async def test_a_disabled_user_and_a_changed_password_end_access_and_the_way_back_to_it(
    client: httpx.AsyncClient, database_url: str, database_pool: asyncpg.Pool
) -> None:
    tokens = await sign_in(client)
    await set_password(database_pool, "ada", HASHER.hash("another long password"), now=utcnow(), who="tests")
    assert await elsewhere(database_url, tokens["access"]) == 401
    assert (await client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})).status_code == 401

    tokens = await sign_in(client, password="another long password")
    assert await elsewhere(database_url, tokens["access"]) == 200
    await disable_user(database_pool, "ada", now=utcnow(), who="tests")
    assert await elsewhere(database_url, tokens["access"]) == 401
    assert (await client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})).status_code == 401
    given = {"username": "ada", "password": "another long password"}
    assert (await client.post("/api/token/", json=given)).status_code == 401

    await enable_user(database_pool, "ada", who="tests")
    assert await elsewhere(database_url, tokens["access"]) == 401
    assert (await client.post("/api/token/", json=given)).status_code == 200


async def test_an_identity_is_looked_up_again_after_five_seconds(
    client: httpx.AsyncClient, app: FastAPI, database_pool: asyncpg.Pool
) -> None:
    """For up to five seconds a process uses the role that it has in memory, and does not read the database."""
    moment = 1000.0
    identities = Identities(services_of(app).pool, monotonic=lambda: moment)
    claims = services_of(app).accounts.signer.read("access", (await sign_in(client))["access"], utcnow())
    before = await identities.of_session(claims.session)
    await set_role(database_pool, "ada", "operator", who="tests")
    assert await identities.of_session(claims.session) == before
    moment += FRESH_SECONDS + 0.1
    after = await identities.of_session(claims.session)
    assert (before and before.role, after and after.role) == ("reader", "operator")
    await disable_user(database_pool, "ada", now=utcnow(), who="tests")
    moment += FRESH_SECONDS + 0.1
    assert await identities.of_session(claims.session) is None
    assert FRESH_SECONDS <= 5


async def test_passwords_and_refresh_tokens_are_stored_as_hashes_only(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    tokens = await sign_in(client)
    await client.post("/api/token/refresh/", json={"refresh": tokens["refresh"]})
    stored = ""
    for table in ("users", "sessions", "refresh_tokens", "audit_log"):
        stored += str([dict(row) for row in await database_pool.fetch(f"SELECT * FROM {table}")])
    assert "$argon2id$" in stored
    assert not [secret for secret in (PASSWORD, tokens["refresh"], tokens["access"]) if secret in stored]


async def test_a_sign_in_deletes_expired_sessions_and_tokens(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    await sign_in(client)
    await database_pool.execute("UPDATE sessions SET expires_at = $1", utcnow() - timedelta(days=2))
    await sign_in(client)
    assert await database_pool.fetchval("SELECT count(*) FROM sessions") == 1
    assert await database_pool.fetchval("SELECT count(*) FROM refresh_tokens") == 1


async def test_an_older_hash_is_renewed_when_its_user_signs_in(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    old = Argon2Hasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    await database_pool.execute("UPDATE users SET password_hash = $1", old)
    await sign_in(client)
    renewed = await database_pool.fetchval("SELECT password_hash FROM users")
    assert renewed != old
    assert HASHER.verify(PASSWORD, renewed)
    await sign_in(client)


@pytest.mark.parametrize("path", ["/api/token/", "/api/session/"])
@pytest.mark.parametrize("way", ["json", "data"])
async def test_a_password_that_is_changed_while_it_is_verified_signs_nobody_in(
    client: httpx.AsyncClient, app: FastAPI, database_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch,
    path: str, way: str,
) -> None:  # fmt: skip
    verify = services_of(app).accounts.passwords.verify

    async def changed_meanwhile(password: str, stored: str) -> tuple[bool, str | None]:
        verified: tuple[bool, str | None] = await verify(password, stored)
        await set_password(database_pool, "ada", HASHER.hash("another password"), now=utcnow(), who="tests")
        return verified

    monkeypatch.setattr(services_of(app).accounts.passwords, "verify", changed_meanwhile)
    given: dict[str, Any] = {way: {"username": "ada", "password": PASSWORD}}
    answer = await client.post(path, **given)
    if (path, way) == ("/api/session/", "data"):
        assert answer.headers["location"].endswith("why=password")
    else:
        assert (answer.status_code, "no such user with that password" in answer.text) == (401, True)
    assert "set-cookie" not in answer.headers
    assert await database_pool.fetchval("SELECT count(*) FROM sessions") == 0


async def test_two_simultaneous_sign_ins_with_an_older_hash_both_succeed(
    client: httpx.AsyncClient, app: FastAPI, database_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both verify the older hash before either of them stores the newer one."""
    old = Argon2Hasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    await database_pool.execute("UPDATE users SET password_hash = $1", old)
    verify, barrier = services_of(app).accounts.passwords.verify, asyncio.Barrier(2)

    async def both_at_once(password: str, stored: str) -> tuple[bool, str | None]:
        verified: tuple[bool, str | None] = await verify(password, stored)
        if stored == old:
            await barrier.wait()
        return verified

    monkeypatch.setattr(services_of(app).accounts.passwords, "verify", both_at_once)
    async with asyncio.timeout(20):
        await asyncio.gather(sign_in(client), sign_in(client))
    assert await database_pool.fetchval("SELECT password_hash FROM users") != old
