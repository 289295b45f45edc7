"""Statistics of the posts created within a window."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from signalflow.clock import utcnow
from signalflow.storage.stats import stats as read_stats
from web.api.answers import raw_answer
from web.api.dependencies import CacheOf, ReadsOf
from web.api.parameters import Moment
from web.api.post_filters import Bound, WindowedFilters, span_of
from web.api.stats.schemas import PostStats
from web.problems import OF_READS, InvalidParameter

CACHE_SECONDS = 30.0

router = APIRouter(tags=["statistics"])


class StatsParameters(WindowedFilters):
    """The filters, and the window, whose begin and end have former names too."""

    start: Moment | None = Field(None, deprecated=True, description="The former name of `created_from`.")
    end: Moment | None = Field(None, deprecated=True, description="The former name of `created_to`.")

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end. Raises InvalidParameter, also when one of them is given under both of its names."""
        begin = _either(Bound("created_from", self.created_from), Bound("start", self.start))
        end = _either(Bound("created_to", self.created_to), Bound("end", self.end))
        return span_of(begin, end, self.window, now)


def _either(bound: Bound, former: Bound) -> Bound:
    if former.moment is None:
        return bound
    if bound.moment is not None:
        raise InvalidParameter(former.parameter, f"is the former name of {bound.parameter}: give one of them")
    return former


@router.get(
    "/api/stats/",
    summary="Statistics of the posts created within a window",
    response_model=PostStats,
    responses=OF_READS,
)
async def stats(reads: ReadsOf, cache: CacheOf, parameters: Annotated[StatsParameters, Query()]) -> Response:
    """The statistics of a window are computed at most once in 30 s for the same filters, however many clients ask."""
    parameters.span(utcnow())

    async def compute() -> bytes:
        now = utcnow()
        start, end = parameters.span(now)
        return await read_stats(reads, start, end, parameters.filters, now)

    key = f"stats {parameters.model_dump_json(exclude_defaults=True)}"
    return raw_answer(await cache.get(key, CACHE_SECONDS, compute))
