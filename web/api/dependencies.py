"""What endpoints are given. All of these are coroutines: a plain function would be sent through a thread, at each request."""

from typing import Annotated

from fastapi import Depends, Request

from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.read_router import ReadRouter
from web.api.cache import AnswerCache
from web.api.tables.workers import Workers
from web.live.hub import Hub


async def _pool(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool


async def _readiness_pool(request: Request) -> Pool:
    pool: Pool = request.app.state.readiness_pool
    return pool


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _reader(request: Request) -> ReadRouter:
    reader: ReadRouter = request.app.state.reading.reader
    return reader


async def _cache(request: Request) -> AnswerCache:
    cache: AnswerCache = request.app.state.reading.cache
    return cache


async def _brief_cache(request: Request) -> AnswerCache:
    cache: AnswerCache = request.app.state.reading.brief
    return cache


async def _live(request: Request) -> Hub:
    hub: Hub = request.app.state.live
    return hub


async def _workers(request: Request) -> Workers:
    workers: Workers = request.app.state.reading.workers
    return workers


PoolOf = Annotated[Pool, Depends(_pool)]
ReadinessPoolOf = Annotated[Pool, Depends(_readiness_pool)]
SettingsOf = Annotated[Settings, Depends(_settings)]
ReaderOf = Annotated[ReadRouter, Depends(_reader)]
CacheOf = Annotated[AnswerCache, Depends(_cache)]
BriefCacheOf = Annotated[AnswerCache, Depends(_brief_cache)]
LiveOf = Annotated[Hub, Depends(_live)]
WorkersOf = Annotated[Workers, Depends(_workers)]
