"""The tree of a post's comments, as /comments/{id} answers it. What does not fit is named by "more" things."""

from typing import Any

import orjson

from signalflow.simulator.comments import (
    MAX_DEPTH,
    MAX_PLACE,
    Comment,
    comment_at,
    comment_data,
    comment_id,
    parent_place,
)
from signalflow.simulator.listings import listing_json
from signalflow.simulator.posts import Post

DEFAULT_COMMENTS, MAX_COMMENTS = 200, 500


def tree_json(post: Post, post_path: str, now: float, limit: int) -> bytes:
    """A Listing of the oldest `limit` comments, nested by parent. A "more" names the comments that were left out.

    `post_path`: the permalink of the post.
    """
    total = min(post.comments_at(now), MAX_PLACE)
    shown = [c for c in (comment_at(post, place, now) for place in range(1, min(total, limit) + 1)) if c is not None]
    children: dict[int, list[Comment]] = {}
    for comment in shown:
        children.setdefault(comment.parent, []).append(comment)
    things = [orjson.dumps(_thing(comment, children, post_path, now, 0)) for comment in children.get(0, [])]
    if total > len(shown):
        rest = [comment_id(post, place) for place in range(len(shown) + 1, min(total, len(shown) + 2_000) + 1)]
        things.append(orjson.dumps(more(f"t3_{post.id}", rest, total - len(shown), 0)))
    return listing_json(things, None, None, None)


def more(parent: str, ids: list[str], count: int, depth: int) -> dict[str, Any]:
    """A "more", which stands for comments that were left out."""
    first = ids[0] if ids else "_"
    data = {"count": count, "name": f"t1_{first}", "id": first, "parent_id": parent, "depth": depth, "children": ids}
    return {"kind": "more", "data": data}


def depth_of(post: Post, place: int) -> int:
    """How many comments are above a comment in its tree."""
    depth = 0
    while parent := parent_place(post, place):
        place, depth = parent, depth + 1
    return depth


def _thing(
    comment: Comment, children: dict[int, list[Comment]], post_path: str, now: float, depth: int
) -> dict[str, Any]:
    data = comment_data(comment, post_path, now, depth)
    below = children.get(comment.place, [])
    if not below:
        return {"kind": "t1", "data": data}
    if depth < MAX_DEPTH:
        replies = [_thing(reply, children, post_path, now, depth + 1) for reply in below]
    else:
        # Reddit stops here: whoever wants the rest asks for it by its ids.
        rest = _below(below, children)
        replies = [more(comment.name, [reply.id for reply in rest], len(rest), depth + 1)]
    data["replies"] = {
        "kind": "Listing",
        "data": {"modhash": None, "dist": None, "after": None, "before": None, "geo_filter": "", "children": replies},
    }
    return {"kind": "t1", "data": data}


def _below(comments: list[Comment], children: dict[int, list[Comment]]) -> list[Comment]:
    """These comments, and all that answer them."""
    found = list(comments)
    for comment in found:
        found += children.get(comment.place, [])
    return found
