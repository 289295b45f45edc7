"""Whether this process answers, and whether it can do its work."""

import asyncio
from datetime import datetime
from importlib.metadata import version

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from signalflow.errors import Fatal, Retryable
from signalflow.storage.schema import check_schema
from web.api.dependencies import LiveOf, ReaderOf
from web.api.parameters import nothing_else

DATABASE_SECONDS = 2.0

router = APIRouter(tags=["health"], dependencies=[Depends(nothing_else)])


class Health(BaseModel):
    """That the process answers; nothing else is asked, so that a database that is away restarts no API."""

    status: str = Field("ok", description="Always `ok`.")
    version: str = Field(version("signalflow"), description="Version of the program.", examples=["0.1.0"])


class Readiness(BaseModel):
    """What must hold before this process does its work; `ready` is the conjunction of `database` and `schema_fits`."""

    ready: bool = Field(description="Whether it can answer reads.")
    database: bool = Field(description="Whether the primary answers.")
    schema_fits: bool = Field(description="Whether the schema is the one that this program knows.")
    replica_in_use: bool | None = Field(
        description="Whether reads go to the replica: not while it is away or too far behind. Null: none is configured.",
        examples=[None],
    )
    live_stale_since: datetime | None = Field(
        description="Since when the live stream cannot read Kafka. Null: it can. Reads do not need it, so it makes nothing unready.",
        examples=[None],
    )


@router.get("/health/", include_in_schema=False)
@router.get("/health", summary="Whether this process answers")
async def health() -> Health:
    return Health()


@router.get("/ready/", include_in_schema=False)
@router.get(
    "/ready",
    summary="Whether this process can answer reads",
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
async def ready(reader: ReaderOf, live: LiveOf, response: Response) -> Readiness:
    database = fits = False
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            await check_schema(reader.primary)
        database = fits = True
    except Fatal:
        database = True
    except (Retryable, TimeoutError):
        pass
    response.headers["Cache-Control"] = "no-store"
    response.status_code = 200 if fits else 503
    return Readiness(
        ready=fits,
        database=database,
        schema_fits=fits,
        replica_in_use=reader.replica_in_use,
        live_stale_since=live.stale_since,
    )
