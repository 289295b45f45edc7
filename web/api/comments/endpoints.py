"""Comments: those of a post, and those of authors and subreddits."""

from http import HTTPStatus
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.exceptions import HTTPException

from signalflow.storage.comment_list import (
    CommentCursor,
    CommentOrder,
    comments_of_post,
    newest_comments,
    replies_below,
)
from signalflow.storage.comment_sentiment import comment_mood
from signalflow.storage.history import is_known
from signalflow.storage.read_router import Row
from web.api.answers import json_answer
from web.api.comments.cursor import decode_cursor, encode_cursor
from web.api.comments.parameters import CommentListParameters, DiscussionParameters
from web.api.comments.schemas import CommentList, CommentOut, CommentTrees, FlatComments, Mood
from web.api.comments.trees import nested
from web.api.dependencies import ReadsOf
from web.api.parameters import PostId
from web.problems import OF_READS, InvalidParameter, documented

router = APIRouter(tags=["comments"])

_NAMES = tuple(CommentOut.model_fields)
_values = itemgetter(*_NAMES)


def _item(row: Row) -> dict[str, Any]:
    return dict(zip(_NAMES, _values(row), strict=True))


def _after(text: str | None, order: CommentOrder, walk: str) -> CommentCursor | None:
    try:
        return None if text is None else decode_cursor(text, order, walk)
    except ValueError as error:
        raise InvalidParameter("cursor", str(error)) from error


def _unknown(post_id: str) -> HTTPException:
    return HTTPException(404, f"There is no post {post_id}: it was never seen, or is not stored yet.")


@router.get(
    "/api/posts/{id}/comments/",
    summary="The comments of a post, as trees or one by one",
    response_model=FlatComments | CommentTrees,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def comments_of_a_post(
    reads: ReadsOf, id: PostId, parameters: Annotated[DiscussionParameters, Query()]
) -> Response:
    """Comments may be here before their post and before what they answer: in the tree these stand at the top."""
    view, order, walk = parameters.view, parameters.sort, parameters.walk(id)
    page = await comments_of_post(
        reads,
        id,
        order,
        only_top=view == "tree",
        limit=parameters.page_size,
        after=_after(parameters.cursor, order, walk),
    )
    if not page.rows and not await is_known(reads, id):
        raise _unknown(id)
    items = [_item(row) for row in page.rows]
    if view == "tree" and items:
        below = await replies_below(reads, id, [item["id"] for item in items], order, page.position)
        items = nested(items, map(_item, below))
    following = page.next and encode_cursor(page.next, order, walk)
    return json_answer({"view": view, "items": items, "next": following})


@router.get(
    "/api/posts/{id}/comments/sentiment/",
    summary="How the mood of a discussion moved",
    response_model=Mood,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def mood_of_a_discussion(reads: ReadsOf, id: PostId) -> Response:
    """By stretches of the time at which comments were written, oldest first; those without comments are left out."""
    step, rows = await comment_mood(reads, id)
    if step is None and not await is_known(reads, id):
        raise _unknown(id)
    seconds = None if step is None else int(step.total_seconds())
    return json_answer({"id": id, "step_seconds": seconds, "items": [dict(row) for row in rows]})


@router.get(
    "/api/comments/",
    summary="Comments by author, subreddit and words, newest first",
    response_model=CommentList,
    responses=OF_READS,
)
async def list_comments(reads: ReadsOf, parameters: Annotated[CommentListParameters, Query()]) -> Response:
    """The pages that `next` leads to repeat no comment and leave none out."""
    after = _after(parameters.cursor, "new", parameters.walk)
    page = await newest_comments(reads, parameters.filters, limit=parameters.page_size, after=after)
    following = page.next and encode_cursor(page.next, "new", parameters.walk)
    return json_answer({"items": [_item(row) for row in page.rows], "next": following, "search": page.search})
