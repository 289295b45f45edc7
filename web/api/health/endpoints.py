"""Whether this process answers, and whether it can do its work."""

import asyncio
from datetime import datetime
from importlib.metadata import version

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from signalflow.errors import Fatal, Retryable
from signalflow.storage.pool import Pool
from signalflow.storage.schema import Misfit, NotLoaded, check_schema
from signalflow.storage.workers import live_workers
from web.api.dependencies import BriefCacheOf, HubOf, ReadinessPoolOf, ReadsOf, WorkersOf
from web.worker_client import Unanswered, WorkerClient

DATABASE_SECONDS = 2.0
# Anybody may ask, and is not counted. However many do, the database is asked once in this time.
SHARED_SECONDS = 1.0
# Anybody may read the answer, so it holds no error of the database itself, which may name hosts and users.
AWAY = "the database does not answer: `signalflow doctor` says why"
REFUSES = "the database refuses this program: `signalflow doctor` says why"

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers. Nothing else is checked, so that no API is restarted because the database is away."""

    status: str = Field("ok", description="Always `ok`.")
    version: str = Field(version("signalflow"), description="Version of the program.", examples=["0.1.0"])


class Standstill(BaseModel):
    """Since when Reddit has answered no request, as the worker that polls says."""

    model_config = ConfigDict(from_attributes=True)

    since: datetime = Field(description="When the first of the requests without an answer failed.")
    reason: str = Field(description="What Reddit does instead.", examples=["status_403"])
    what_to_do: str = Field(description="What an operator can do about it.")


class Readiness(BaseModel):
    """What must hold before this process does its work; `ready` is the conjunction of `database` and `schema_fits`."""

    ready: bool = Field(description="Whether it can answer reads.")
    database: bool = Field(description="Whether the primary answers.")
    schema_fits: bool = Field(
        description="Whether the schema is the one that this program knows, and the server has what it needs."
    )
    what_to_do: str | None = Field(
        description="What is wrong with the database, and what an operator can do about it; null while ready.",
        examples=[None],
    )
    replica_in_use: bool | None = Field(
        description="Whether reads go to the replica: not while it is away or too far behind. Null without a replica.",
        examples=[None],
    )
    live_stale_since: datetime | None = Field(
        description="Since when the live stream cannot read Kafka; null while it can. `ready` does not depend on it.",
        examples=[None],
    )
    workers_reading: int | None = Field(
        description="How many workers report that they read; with 0 nothing new is stored. Null while the database "
        "cannot tell. `ready` does not depend on it.",
        examples=[1],
    )
    reddit_answers_nothing: Standstill | None = Field(
        description="Since when Reddit answers no request; null while it does, or while no worker that polls can be "
        "asked. `ready` does not depend on it.",
        examples=[None],
    )


class _Database(msgspec.Struct):
    """What is known of the database, as it is cached."""

    answers: bool
    wrong: str | None = None


class _Workers(msgspec.Struct):
    """What is known of the workers, as it is cached."""

    reading: int | None = None
    unanswered: Unanswered | None = None


@router.get("/health", summary="Whether this process answers")
async def health() -> Health:
    return Health()


@router.get(
    "/ready",
    summary="Whether this process can answer reads",
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
async def ready(
    reads: ReadsOf, pool: ReadinessPoolOf, workers: WorkersOf, cache: BriefCacheOf, hub: HubOf, response: Response
) -> Readiness:
    """What is said of the database, the workers and Reddit is at most a second old."""
    found = msgspec.json.decode(await cache.get("ready", SHARED_SECONDS, lambda: _database(pool)), type=_Database)
    is_ready = found.wrong is None
    of_workers = _Workers()
    if is_ready:
        cached = await cache.get("ready_workers", SHARED_SECONDS, lambda: _workers(pool, workers))
        of_workers = msgspec.json.decode(cached, type=_Workers)
    response.headers["Cache-Control"] = "no-store"
    response.status_code = 200 if is_ready else 503
    return Readiness(
        ready=is_ready,
        database=found.answers,
        schema_fits=is_ready,
        what_to_do=found.wrong,
        replica_in_use=reads.replica_in_use,
        live_stale_since=hub.stale_since,
        workers_reading=of_workers.reading,
        reddit_answers_nothing=of_workers.unanswered,
    )


async def _workers(pool: Pool, workers: WorkerClient) -> bytes:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            living = await live_workers(pool)
    except (Retryable, TimeoutError):
        return msgspec.json.encode(_Workers())
    reading = sum(worker.state == "running" for worker in living)
    return msgspec.json.encode(_Workers(reading, await workers.reddit_answers_nothing(living)))


async def _database(pool: Pool) -> bytes:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            await check_schema(pool)
    except (Misfit, NotLoaded) as error:
        found = _Database(True, str(error))
    except Fatal:
        found = _Database(True, REFUSES)
    except (Retryable, TimeoutError):
        found = _Database(False, AWAY)
    else:
        found = _Database(True)
    return msgspec.json.encode(found)
