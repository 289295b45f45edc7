"""The dependencies of endpoints.

All are coroutines: FastAPI would run a plain function in a thread, at each request.
"""

from typing import Annotated

from fastapi import Depends, Request

from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.read_router import ReadRouter
from web.cache import AnswerCache
from web.live.hub import Hub
from web.services import Services, services_of
from web.worker_client import WorkerClient


async def _services(request: Request) -> Services:
    return services_of(request)


ServicesOf = Annotated[Services, Depends(_services)]


async def _settings(services: ServicesOf) -> Settings:
    return services.settings


async def _pool(services: ServicesOf) -> Pool:
    return services.pool


async def _readiness_pool(services: ServicesOf) -> Pool:
    return services.readiness_pool


async def _reads(services: ServicesOf) -> ReadRouter:
    return services.reads


async def _cache(services: ServicesOf) -> AnswerCache:
    return services.cache


async def _brief_cache(services: ServicesOf) -> AnswerCache:
    return services.brief_cache


async def _hub(services: ServicesOf) -> Hub:
    return services.hub


async def _comment_hub(services: ServicesOf) -> Hub:
    return services.comment_hub


async def _signal_hub(services: ServicesOf) -> Hub:
    return services.signal_hub


async def _workers(services: ServicesOf) -> WorkerClient:
    return services.workers


SettingsOf = Annotated[Settings, Depends(_settings)]
PoolOf = Annotated[Pool, Depends(_pool)]
ReadinessPoolOf = Annotated[Pool, Depends(_readiness_pool)]
ReadsOf = Annotated[ReadRouter, Depends(_reads)]
CacheOf = Annotated[AnswerCache, Depends(_cache)]
BriefCacheOf = Annotated[AnswerCache, Depends(_brief_cache)]
HubOf = Annotated[Hub, Depends(_hub)]
CommentHubOf = Annotated[Hub, Depends(_comment_hub)]
SignalHubOf = Annotated[Hub, Depends(_signal_hub)]
WorkersOf = Annotated[WorkerClient, Depends(_workers)]
