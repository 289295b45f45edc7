"""Subreddits that rise on Reddit and are not watched yet."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from signalflow.clock import utcnow
from signalflow.storage.trending_subreddits import trending_subreddits
from web.api.answers import json_answer
from web.api.dependencies import PoolOf
from web.api.trending.schemas import TrendingSubreddits
from web.problems import OF_READS

router = APIRouter(tags=["subreddits"])


@router.get(
    "/api/subreddits/trending/",
    summary="Subreddits that rise, or that Reddit calls popular, and are not watched",
    response_model=TrendingSubreddits,
    responses=OF_READS,
)
async def trending(
    pool: PoolOf,
    hours: Annotated[int, Query(ge=1, le=168, description="By what rose within so many hours.")] = 24,
    limit: Annotated[int, Query(ge=1, le=200, description="Subreddits at most.")] = 20,
) -> Response:
    """The poller reads r/popular every 15 minutes (a setting), and each hour Reddit's list of popular subreddits, which
    feeds do not have. `POST /api/subreddits/` watches one of them."""
    found = await trending_subreddits(pool, utcnow() - timedelta(hours=hours), limit)
    return json_answer({"items": [asdict(each) for each in found]})
