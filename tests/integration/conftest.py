"""Fixtures of several modules of this folder."""

from collections.abc import AsyncIterator

import httpx
import pytest

from signalflow.storage.pool import Pool
from tests.integration.posts_api import api_of
from tests.integration.storage_rows import pool_of


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """The application's pool on a fresh database."""
    async with await pool_of(database_url) as opened:
        yield opened


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A reader's client of an API on a fresh database."""
    async with api_of(database_url) as opened:
        yield opened
