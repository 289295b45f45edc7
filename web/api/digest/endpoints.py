"""The digest of a day, as JSON and as one file of HTML that can be passed on."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from signalflow.clock import utcnow
from signalflow.digests.rendering import as_page
from signalflow.storage.digest import digest
from web.api.answers import json_bytes, raw_answer
from web.api.dependencies import CacheOf, ReadsOf
from web.api.digest.schemas import Digest
from web.problems import OF_READS, InvalidParameter

CACHE_SECONDS = 60.0

router = APIRouter(tags=["statistics"])


class DigestParameters(BaseModel):
    """Which day."""

    day: date | None = Field(None, description="A day in UTC (ISO 8601); default: yesterday.", examples=["2026-01-05"])

    def chosen(self, now: datetime) -> date:
        """The day. Raises InvalidParameter for one that has not begun, or that no clock has."""
        today = now.astimezone(UTC).date()
        if self.day is None:
            return today - timedelta(days=1)
        if not date(1970, 1, 1) < self.day <= today:
            raise InvalidParameter("day", f"must be a day after 1970-01-01, and at most today, {today} in UTC")
        return self.day


async def _told(reads: ReadsOf, cache: CacheOf, parameters: DigestParameters) -> bytes:
    day = parameters.chosen(utcnow())

    async def compute() -> bytes:
        return json_bytes(await digest(reads, day, utcnow()))

    return await cache.get(f"digest {day}", CACHE_SECONDS, compute)


@router.get("/api/digest/", summary="What a day was about", response_model=Digest, responses=OF_READS)
async def digest_of_day(reads: ReadsOf, cache: CacheOf, parameters: Annotated[DigestParameters, Query()]) -> Response:
    """What stood out, the posts with the highest scores, and what titles were about. Computed at most once a minute."""
    return raw_answer(await _told(reads, cache, parameters))


@router.get(
    "/api/digest/page/",
    summary="What a day was about, as a file of HTML",
    response_class=Response,
    responses=OF_READS | {200: {"description": "The file.", "content": {"text/html": {}}}},
)
async def page_of_day(reads: ReadsOf, cache: CacheOf, parameters: Annotated[DigestParameters, Query()]) -> Response:
    """The same to save and pass on: one file, without a script, that loads nothing."""
    told = orjson.loads(await _told(reads, cache, parameters))
    headers = {"Content-Disposition": f'attachment; filename="digest-{told["day"]}.html"'}
    return Response(as_page(told), media_type="text/html; charset=utf-8", headers=headers)
