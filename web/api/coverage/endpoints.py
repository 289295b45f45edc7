"""How much of the time of each subreddit is covered, and which share of its posts was found."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from signalflow.clock import utcnow
from signalflow.storage.coverage import Step
from signalflow.storage.coverage import coverage as read_coverage
from web.api.answers import json_bytes, raw_answer
from web.api.coverage.schemas import Coverage
from web.api.dependencies import CacheOf, ReadsOf
from web.api.parameters import Moment, SubredditName, Window
from web.api.post_filters import DEFAULT_WINDOW, Bound, span_of
from web.problems import OF_READS, InvalidParameter

CACHE_SECONDS = 30.0
# An answer with more hours would be larger than a page can show.
MOST_HOURS = timedelta(days=7)

router = APIRouter(tags=["statistics"])


class CoverageParameters(BaseModel):
    """The window, the subreddits, and how finely the time is cut."""

    subreddit: list[SubredditName] = Field(
        [], max_length=50, description="Of one of these subreddits; may be given several times. Case does not matter."
    )
    created_from: Moment | None = Field(
        None, description="From the hour or day of this time on (ISO 8601 with a time zone)."
    )
    created_to: Moment | None = Field(None, description="Until then (ISO 8601 with a time zone); default: now.")
    window: Window | None = Field(
        None,
        description="Length of the window, instead of `created_from`, such as `24h`; at most `7d`. "
        f"Default: `{DEFAULT_WINDOW}`.",
        examples=["24h"],
    )
    step: Step = Field("hour", description="Length of a cell; `hour` for at most seven days.")

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end. Raises InvalidParameter when the parameters describe no window, or one with too many cells."""
        bounds = Bound("created_from", self.created_from), Bound("created_to", self.created_to)
        begin, end = span_of(*bounds, self.window, now)
        if self.step == "hour" and end - begin > MOST_HOURS:
            raise InvalidParameter("step", f"must be day for more than {MOST_HOURS.days} days")
        return begin, end


@router.get("/api/coverage/", summary="The coverage of subreddits", response_model=Coverage, responses=OF_READS)
async def coverage(reads: ReadsOf, cache: CacheOf, parameters: Annotated[CoverageParameters, Query()]) -> Response:
    """How much of the time is covered, and an estimate of the share of posts that were found.

    Time is covered when polls or later pages prove that no post is missing. Computed at most once in 30 s.
    """
    parameters.span(utcnow())

    async def compute() -> bytes:
        now = utcnow()
        begin, end = parameters.span(now)
        found = await read_coverage(reads, begin, end, step=parameters.step, names=parameters.subreddit, now=now)
        return json_bytes(found.document())

    key = f"coverage {parameters.model_dump_json(exclude_defaults=True)}"
    return raw_answer(await cache.get(key, CACHE_SECONDS, compute))
