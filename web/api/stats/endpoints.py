"""Statistics of the posts created within a window."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from signalflow.clock import utcnow
from signalflow.storage.stats import stats as read_stats
from web.api.answers import raw_answer
from web.api.dependencies import CacheOf, ReadsOf
from web.api.parameters import Moment, Parameters, Window, window_of
from web.api.stats.schemas import PostStats
from web.problems import OF_READS, InvalidParameter

CACHE_SECONDS = 30.0
LONGEST = timedelta(days=31)
DEFAULT_WINDOW = "24h"

router = APIRouter(tags=["statistics"])


class StatsParameters(Parameters):
    """The window: `start` and `end`, or a length that ends at `end`."""

    start: Moment | None = Field(
        None,
        description="Start (ISO 8601 with a time zone), at most 31 days before the end.",
        examples=["2026-01-01T00:00:00Z"],
    )
    end: Moment | None = Field(
        None, description="End (ISO 8601 with a time zone); default: now.", examples=["2026-01-02T00:00:00Z"]
    )
    window: Window | None = Field(
        None,
        description=f"Length, instead of `start`, such as `24h`; at most `7d`. Default: `{DEFAULT_WINDOW}`.",
        examples=["24h"],
    )

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Start and end. Raises InvalidParameter when the parameters do not describe a window of at most 31 days."""
        end = self.end or now
        if self.start is None:
            try:
                return end - window_of(self.window or DEFAULT_WINDOW), end
            except OverflowError as error:
                raise InvalidParameter("end", "out of range") from error
        if self.window is not None:
            raise InvalidParameter("window", "give either window or start")
        if self.start >= end:
            raise InvalidParameter("start", "must be before the end")
        if end - self.start > LONGEST:
            raise InvalidParameter("start", f"must be at most {LONGEST.days} days before the end")
        return self.start, end


@router.get(
    "/api/stats/",
    summary="Statistics of the posts created within a window",
    response_model=PostStats,
    responses=OF_READS,
)
async def stats(reads: ReadsOf, cache: CacheOf, parameters: Annotated[StatsParameters, Query()]) -> Response:
    """The statistics of a window are computed at most once in 30 s, however many clients ask."""
    parameters.span(utcnow())

    async def compute() -> bytes:
        now = utcnow()
        start, end = parameters.span(now)
        return await read_stats(reads, start, end, now)

    key = f"stats {parameters.model_dump_json(exclude_none=True)}"
    return raw_answer(await cache.get(key, CACHE_SECONDS, compute))
