"""What endpoints are given."""

from typing import Annotated

from fastapi import Depends, Request

from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.readers import Reader
from web.api.cache import AnswerCache
from web.api.tables.workers import Workers


def _pool(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reading.reader
    return reader


def _cache(request: Request) -> AnswerCache:
    cache: AnswerCache = request.app.state.reading.cache
    return cache


def _brief_cache(request: Request) -> AnswerCache:
    cache: AnswerCache = request.app.state.reading.brief
    return cache


def _workers(request: Request) -> Workers:
    workers: Workers = request.app.state.reading.workers
    return workers


PoolOf = Annotated[Pool, Depends(_pool)]
SettingsOf = Annotated[Settings, Depends(_settings)]
ReaderOf = Annotated[Reader, Depends(_reader)]
CacheOf = Annotated[AnswerCache, Depends(_cache)]
BriefCacheOf = Annotated[AnswerCache, Depends(_brief_cache)]
WorkersOf = Annotated[Workers, Depends(_workers)]
