"""Lists of posts."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from signalflow.clock import utcnow
from signalflow.storage.feed import FeedPost, latest_posts
from web.api.dependencies import PoolOf
from web.api.posts.cursor import decode_cursor, encode_cursor
from web.api.posts.schemas import Nlp, PostOut, PostPage
from web.api.problems import InvalidParameter, documented

MOST_POSTS_A_PAGE = 200

router = APIRouter(tags=["posts"])


@router.get("/api/posts", include_in_schema=False)
@router.get(
    "/api/posts/",
    summary="Posts, newest first",
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR
    ),
)
async def list_posts(
    pool: PoolOf,
    cursor: Annotated[
        str | None, Query(max_length=64, description="`next` of the page before; without it, the newest.")
    ] = None,
    page_size: Annotated[int, Query(ge=1, le=MOST_POSTS_A_PAGE, description="Posts of a page.")] = 50,
) -> PostPage:
    """Walking the pages by `next` repeats no post and leaves out none that was there at the first page; newer ones are on the first page."""
    try:
        before = None if cursor is None else decode_cursor(cursor)
    except ValueError as error:
        raise InvalidParameter("cursor", str(error)) from error
    # One more than asked for shows whether there is a next page.
    posts = await latest_posts(pool, before=before, limit=page_size + 1)
    page = posts[:page_size]
    following = encode_cursor(page[-1].cursor) if len(posts) > page_size else None
    now = utcnow()
    return PostPage.model_construct(items=[_shown(post, now) for post in page], next=following)


def _shown(post: FeedPost, now: datetime) -> PostOut:
    """The post as it goes out; its fields come from our own tables and are not validated again."""
    fields = {name: getattr(post, name) for name in PostOut.model_fields if hasattr(post, name)}
    engagement = post.current_score + 2 * post.current_comments
    age = max((now - post.created_utc).total_seconds() / 60, 0.0)
    nlp = {name: getattr(post, name) for name in Nlp.model_fields} | {"keywords": post.keywords or []}
    return PostOut.model_construct(
        **fields,
        observed_at=post.last_polled_at,
        engagement_score=engagement,
        age_minutes=age,
        momentum=engagement / (age + 1),
        nlp=Nlp.model_construct(**nlp),
    )
