"""Topic clusters: pages of them, and one of them with its posts."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.exceptions import HTTPException

from signalflow.storage.topic_list import one_topic, posts_of_topic, timeline_of, topics_page, with_posts
from web.api.answers import columns, json_answer
from web.api.cursors import encode_key
from web.api.dependencies import ReadsOf
from web.api.parameters import Text
from web.api.topics.parameters import TopicListParameters
from web.api.topics.schemas import TopicDetail, TopicPage
from web.problems import OF_READS, documented

router = APIRouter(tags=["topics"])

TopicId = Annotated[
    Text, Path(min_length=1, max_length=64, description="The id of the cluster's first post.", examples=["1abc2d"])
]


@router.get("/api/topics/", summary="Posts that tell the same, by topic", response_model=TopicPage, responses=OF_READS)
async def list_topics(reads: ReadsOf, parameters: Annotated[TopicListParameters, Query()]) -> Response:
    """Those with the newest post come first: clusters that go on, and those that have ended.

    A cluster that a post joins meanwhile moves to the front, so a walk through the pages may miss it.
    """
    limit = parameters.page_size
    found = await topics_page(reads, parameters.filters, before=parameters.before, limit=limit + 1)
    page = found[:limit]
    more = len(found) > limit
    following = encode_key((page[-1]["newest_at"], page[-1]["id"]), parameters.walk) if more else None
    return json_answer({"items": await with_posts(reads, page), "next": following})


@router.get(
    "/api/topics/{id}/",
    summary="One topic, with its posts and its hours",
    response_model=TopicDetail,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def one(reads: ReadsOf, id: TopicId) -> Response:
    """The posts are those of now: of a post that was taken away there is none."""
    topic = await one_topic(reads, id)
    if topic is None:
        raise HTTPException(404, f"There is no topic {id}: it was never found, or ended with a single post.")
    (told,) = await with_posts(reads, [topic])
    posts = await posts_of_topic(reads, id)
    timeline = columns(await timeline_of(reads, topic, [post["id"] for post in posts]))
    return json_answer(told | {"posts": posts, "timeline": timeline})
