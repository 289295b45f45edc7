"""The state of the installation: workers, lag, budget, dead letters, gaps, database, brokers."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from web.access import Reader
from web.api.answers import raw_answer
from web.api.dependencies import BriefCacheOf, ServicesOf
from web.api.operations.collect import collect
from web.api.operations.schemas import Operations
from web.problems import documented

# All open dashboards share one answer, so that they do not load the installation.
SHARED_SECONDS = 2.0

router = APIRouter(tags=["operations"])


@router.get(
    "/api/operations/",
    summary="The state of the installation",
    response_model=Operations,
    responses=documented(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def operations(services: ServicesOf, cache: BriefCacheOf, _: Reader) -> Response:
    """A part that is away says so and does not affect the others. The answer is at most 2 s old."""

    async def compute() -> bytes:
        return (await collect(services)).model_dump_json().encode()

    answer = raw_answer(await cache.get("operations", SHARED_SECONDS, compute))
    answer.headers["Cache-Control"] = "no-store"
    return answer
