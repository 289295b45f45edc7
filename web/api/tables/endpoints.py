"""Faust's tables, read from the workers."""

from http import HTTPStatus

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from signalflow.errors import Retryable
from web.api.answers import raw_answer
from web.api.dependencies import PoolOf, WorkersOf
from web.api.parameters import PostId
from web.api.tables.schemas import PostState
from web.problems import OF_READS, RETRY_LATER, documented

router = APIRouter(tags=["tables"])


@router.get(
    "/api/tables/post_state/{id}",
    summary="The live state of a post",
    response_model=PostState,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def post_state(pool: PoolOf, workers: WorkersOf, id: PostId) -> Response:
    """The state that the post's owner, one of the workers, holds. States are kept for 48 h after a post's creation."""
    try:
        state = await workers.post_state(pool, id)
    except Retryable as error:
        raise HTTPException(503, str(error), headers=RETRY_LATER) from error
    if state is None:
        why = "it is older than 48 h, was never seen, or no source told its numbers"
        raise HTTPException(404, f"There is no state of post {id}: {why}.")
    return raw_answer(state)
