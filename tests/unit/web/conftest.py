"""An API without servers."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from web.app import create_api


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A reader's client of an API whose database port is closed."""
    url = SecretStr(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none")
    settings = Settings(database_url=url, database_timeout=2, api_secret=SecretStr(test_secret))
    app = create_api(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://api",
            headers=bearer(settings),
        ) as client,
    ):
        yield client
