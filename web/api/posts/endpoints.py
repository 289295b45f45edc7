"""Posts: pages of them in any order, one of them, and what was seen of it over time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.exceptions import HTTPException

from signalflow.clock import utcnow
from signalflow.storage.comment_sentiment import comment_sentiment
from signalflow.storage.history import hourly_history, is_known, rank_history, raw_history
from signalflow.storage.post_list import Page, one_post, page_of_posts
from signalflow.storage.post_orders import ORDERS
from signalflow.storage.read_router import ReadRouter, Row
from web.api.answers import columns, json_answer, json_bytes, raw_answer
from web.api.cursors import seal, unseal
from web.api.dependencies import BriefCacheOf, ReadsOf
from web.api.parameters import PostId
from web.api.posts.cursor import decode_cursor, encode_cursor
from web.api.posts.parameters import HistoryParameters, PostListParameters
from web.api.posts.rows import detail_of, post_of
from web.api.posts.schemas import HourlyHistory, PostDetail, PostPage, RawHistory
from web.problems import OF_READS, InvalidParameter, documented

# The first page of an order without an index sorts all posts of the window. Requests within this time share it.
WINDOWED_SECONDS = 2.0
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

router = APIRouter(tags=["posts"])


@router.get(
    "/api/posts/",
    summary="Posts by filters, in any order, page by page",
    response_model=PostPage,
    responses=OF_READS,
)
async def list_posts(
    reads: ReadsOf, brief: BriefCacheOf, parameters: Annotated[PostListParameters, Query()]
) -> Response:
    """The pages that `next` leads to repeat no post, and leave out no post that did not change meanwhile.

    In every order but `newest`, later pages leave out posts that changed since the first page: begin again to see them.
    Ages are computed at the first page.
    """
    if parameters.cursor is None and ORDERS[parameters.order].is_windowed:
        key = f"{parameters.page_size} {parameters.walk}"
        return raw_answer(await brief.get(key, WINDOWED_SECONDS, lambda: _page(reads, parameters)))
    return raw_answer(await _page(reads, parameters))


async def _page(reads: ReadRouter, parameters: PostListParameters) -> bytes:
    order, walk = parameters.order, parameters.walk
    try:
        after = None if parameters.cursor is None else decode_cursor(parameters.cursor, order, walk)
    except ValueError as error:
        raise InvalidParameter("cursor", str(error)) from error
    page: Page = await page_of_posts(
        reads,
        order,
        parameters.filters,
        limit=parameters.page_size,
        now=utcnow(),
        window=parameters.longest_age,
        after=after,
    )
    following = page.next and encode_cursor(page.next, order, walk)
    return json_bytes({"items": [post_of(row) for row in page.rows], "next": following, "search": page.search})


@router.get(
    "/api/posts/{id}/",
    summary="One post, with its text where kept",
    response_model=PostDetail,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def post(reads: ReadsOf, id: PostId) -> Response:
    """Ages are computed at the time of the request."""
    row = await one_post(reads, id, utcnow())
    if row is None:
        raise _unknown(id)
    return json_answer(detail_of(row, await comment_sentiment(reads, id)))


@router.get(
    "/api/posts/{id}/history/",
    summary="What was seen of a post over time",
    response_model=RawHistory | HourlyHistory,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def history(reads: ReadsOf, id: PostId, parameters: Annotated[HistoryParameters, Query()]) -> Response:
    """Oldest first. Observations are kept for 90 days (a setting), their hours for two years."""
    walk, limit = parameters.walk(id), parameters.page_size
    try:
        after = _BEGINNING if parameters.cursor is None else _moment_of(parameters.cursor, walk)
    except (ValueError, OverflowError) as error:
        raise InvalidParameter("cursor", "not a cursor of this history") from error
    lists: dict[str, tuple[str, Sequence[Row]]]
    if parameters.interval == "raw":
        lists = {
            "items": ("observed_at", await raw_history(reads, id, after, limit + 1)),
            "ranks": ("observed_at", await rank_history(reads, id, after, limit + 1)),
        }
    else:
        lists = {"items": ("bucket", await hourly_history(reads, id, after, limit + 1))}
    if not any(rows for _, rows in lists.values()) and not await is_known(reads, id):
        raise _unknown(id)
    # A page has all lists up to the same moment.
    end = min((rows[limit - 1][time] for time, rows in lists.values() if len(rows) > limit), default=None)
    shown = {
        name: columns(row for row in rows if end is None or row[time] <= end) for name, (time, rows) in lists.items()
    }
    following = None if end is None else _sealed_moment(end, walk)
    return json_answer({"id": id, "interval": parameters.interval, **shown, "next": following})


def _unknown(post_id: str) -> HTTPException:
    return HTTPException(404, f"There is no post {post_id}: it was never seen, or is not stored yet.")


def _sealed_moment(moment: datetime, walk: str) -> str:
    return seal(str((moment - _BEGINNING) // timedelta(microseconds=1)).encode(), walk)


def _moment_of(cursor: str, walk: str) -> datetime:
    return _BEGINNING + timedelta(microseconds=int(unseal(cursor, walk)))
