"""The feed of a target, for whoever has its link."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException

from signalflow.alerts.feeds import CONTENT_TYPE, atom_feed
from signalflow.storage.alert_history import feed_of
from signalflow.storage.alert_targets import is_feed_token
from web.api.alerts.parameters import NAMED
from web.api.dependencies import PoolOf, ReadsOf
from web.problems import OF_READS

# The link is the password: no cache that others use may keep the feed, and no search engine may show it.
HEADERS = {"Cache-Control": "private, no-cache", "X-Robots-Tag": "noindex, nofollow"}
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")

router = APIRouter(tags=["alerts"])


@router.get(
    "/api/alerts/feeds/{id}/{token}/",
    summary="Alerts as a feed",
    response_class=Response,
    responses=OF_READS | NAMED | {200: {"content": {"application/atom+xml": {}}, "description": "An Atom feed."}},
)
async def feed(
    pool: PoolOf,
    reads: ReadsOf,
    request: Request,
    id: Annotated[str, Path(description="Id of the target.")],
    token: Annotated[str, Path(description="The secret part of the link.")],
) -> Response:
    """Whoever has the link may read it, without signing in. Whatever is wrong with it, the answer is the same."""
    target_id = _uuid(id)
    if target_id is None or not _TOKEN.fullmatch(token) or not await is_feed_token(pool, target_id, token):
        raise _nothing()
    found = await feed_of(reads, target_id)
    if found is None:
        raise _nothing()
    body = atom_feed(
        found.alerts,
        id_=f"urn:uuid:{target_id}",
        title=found.name,
        address=str(request.url),
        updated=found.created_at,
    )
    return Response(body, headers=HEADERS | {"Content-Type": CONTENT_TYPE})


def _nothing() -> HTTPException:
    return HTTPException(404, "There is no such feed: its link was changed, or is not whole.")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
