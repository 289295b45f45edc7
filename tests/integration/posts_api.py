"""An API on a database of the test, and posts in that database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from signalflow.settings import Settings
from signalflow.storage.pool import create_pool
from signalflow.storage.writer import write_batch
from tests.api_clients import bearer, test_secret
from tests.integration.storage_rows import observation
from web.app import create_api

# Nothing listens on port 1.
NO_KAFKA = "127.0.0.1:1"


@asynccontextmanager
async def api_of(url: str, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A reader's client of an API on this database."""
    settings = Settings(database_url=SecretStr(url), api_secret=SecretStr(test_secret), **changes)
    app = create_api(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", headers=bearer(settings)) as client,
    ):
        yield client


async def store(url: str, *rows: dict[str, Any]) -> None:
    """Store one observation per row, through the writer of the sink. A row has the fields that are not the default."""
    pool = await create_pool(Settings(database_url=SecretStr(url)), application_name="tests")
    async with pool:
        await write_batch(pool, [observation(row.pop("id"), **row) for row in rows])
