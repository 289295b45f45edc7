"""What the reading endpoints share, for as long as the application runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from signalflow.settings import Settings
from signalflow.storage.read_router import ReadRouter, open_read_router
from web.api.cache import AnswerCache
from web.api.tables.workers import Workers


@dataclass(frozen=True, slots=True)
class Reading:
    """`cache` is shared with other processes where there is Redis; `brief` keeps for a second or two, and is this process's own."""

    reader: ReadRouter
    cache: AnswerCache
    brief: AnswerCache
    workers: Workers


@asynccontextmanager
async def open_reading(settings: Settings) -> AsyncIterator[Reading]:
    """Opened without asking any server: it works as soon as they answer."""
    cache, brief, workers = AnswerCache(settings.redis_url.get_secret_value()), AnswerCache(), Workers()
    async with open_read_router(settings) as reader:
        try:
            yield Reading(reader, cache, brief, workers)
        finally:
            await workers.close()
            await cache.close()
            await brief.close()
