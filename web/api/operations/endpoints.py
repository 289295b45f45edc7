"""How the installation is: workers, lag, budget, dead letters, gaps, database, brokers."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from web.api.auth.access import Reader
from web.api.dependencies import PoolOf, SettingsOf
from web.api.operations.collect import Collector
from web.api.operations.schemas import Operations
from web.api.problems import documented

router = APIRouter(tags=["operations"])


@router.get("/api/operations", include_in_schema=False)
@router.get(
    "/api/operations/",
    summary="How the installation is",
    responses=documented(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def operations(request: Request, response: Response, pool: PoolOf, settings: SettingsOf, _: Reader) -> Operations:
    """A part that is away says so itself; the others are there all the same. At most 2 s old."""
    response.headers["Cache-Control"] = "no-store"
    state = request.app.state
    if not hasattr(state, "operations"):
        state.operations = Collector(settings, pool)
    collector: Collector = state.operations
    return await collector.operations()
