"""Keywords of the posts created within a window."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from signalflow.clock import utcnow
from signalflow.storage.stats import keyword_counts
from web.api.answers import json_bytes, raw_answer
from web.api.dependencies import CacheOf, ReadsOf
from web.api.keywords.schemas import Keywords
from web.api.post_filters import WindowedFilters
from web.problems import OF_READS

CACHE_SECONDS = 30.0

router = APIRouter(tags=["statistics"])


class KeywordParameters(WindowedFilters):
    """The window, the filters of the posts, and the number of keywords."""

    limit: int = Field(50, ge=1, le=200, description="Most keywords in the answer.")


@router.get(
    "/api/keywords/",
    summary="Keywords of the posts created within a window",
    response_model=Keywords,
    responses=OF_READS,
)
async def keywords(reads: ReadsOf, cache: CacheOf, parameters: Annotated[KeywordParameters, Query()]) -> Response:
    """Keywords with the most posts come first. Each set of parameters is computed at most once in 30 s.

    Words that say nothing about a subject, such as "far" and "read", are left out when they stand alone.
    """
    parameters.span(utcnow())

    async def compute() -> bytes:
        start, end = parameters.span(utcnow())
        items, search = await keyword_counts(reads, start, end, parameters.filters, parameters.limit)
        return json_bytes({"start": start, "end": end, "search": search, "items": items})

    key = f"keywords {parameters.model_dump_json(exclude_defaults=True)}"
    return raw_answer(await cache.get(key, CACHE_SECONDS, compute))
