"""An API with users, and clients of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.domain.words import Role
from signalflow.settings import Settings
from signalflow.storage.accounts import add_user
from signalflow.storage.pool import Pool
from tests.api_clients import test_secret
from web.app import create_api

PASSWORD = "correct horse battery"
# The cheapest parameters that argon2 allows.
HASHER = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)


def settings_of(url: str, **changes: Any) -> Settings:
    return Settings(database_url=SecretStr(url), api_secret=SecretStr(test_secret), **changes)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """An app with its own services and caches, as an API process of its own has them."""
    app = create_api(settings, PasswordHash((HASHER,)))
    async with app.router.lifespan_context(app):
        yield app


def client_of(app: FastAPI, base_url: str = "http://localhost", **options: Any) -> httpx.AsyncClient:
    """A client with cookies of its own."""
    address = options.pop("address", "127.0.0.1")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url=base_url, **options)


async def make_user(pool: Pool, name: str = "ada", role: Role = "reader", password: str | None = PASSWORD) -> None:
    stored = HASHER.hash(password) if password else None
    await add_user(pool, name, role, stored, now=utcnow(), who="tests")


async def sign_in(client: httpx.AsyncClient, name: str = "ada", password: str = PASSWORD) -> dict[str, str]:
    """The tokens of a user."""
    answer = await client.post("/api/token/", json={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, str] = answer.json()
    return tokens


def authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status(client: httpx.AsyncClient, token: str) -> int:
    """The status of a request with this token: 200 or 401."""
    return (await client.get("/api/session/", headers=authorized(token))).status_code
