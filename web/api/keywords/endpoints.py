"""Keywords of the newest posts."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from signalflow.clock import utcnow
from signalflow.storage.stats import keyword_counts
from web.api.answers import json_bytes, raw_answer
from web.api.dependencies import CacheOf, ReadsOf
from web.api.keywords.schemas import Keywords
from web.api.parameters import Parameters, SubredditName, Window, window_of
from web.problems import OF_READS

CACHE_SECONDS = 30.0

router = APIRouter(tags=["statistics"])


class KeywordParameters(Parameters):
    """The window, the subreddits, and the number of keywords."""

    window: Window = Field(
        "24h", description="Greatest age of the posts, such as `1h` or `24h`; at most `7d`.", examples=["24h"]
    )
    subreddit: list[SubredditName] = Field(
        [],
        max_length=50,
        description="Only posts of these subreddits; may be given several times. Case does not matter.",
    )
    limit: int = Field(50, ge=1, le=200, description="Most keywords in the answer.")


@router.get(
    "/api/keywords/",
    summary="Keywords of the newest posts",
    response_model=Keywords,
    responses=OF_READS,
)
async def keywords(reads: ReadsOf, cache: CacheOf, parameters: Annotated[KeywordParameters, Query()]) -> Response:
    """Keywords with the most posts come first. Each set of parameters is computed at most once in 30 s."""

    async def compute() -> bytes:
        end = utcnow()
        start = end - window_of(parameters.window)
        items = await keyword_counts(reads, start, end, tuple(parameters.subreddit), parameters.limit)
        return json_bytes({"start": start, "end": end, "items": items})

    key = f"keywords {parameters.model_dump_json()}"
    return raw_answer(await cache.get(key, CACHE_SECONDS, compute))
