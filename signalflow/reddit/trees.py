"""Reads the tree of a post's comments from Reddit's JSON: comments nested in each other, and "more" in between."""

from collections.abc import Iterator

from signalflow.errors import Invalid
from signalflow.reddit.answers import Answer, children_of
from signalflow.reddit.protocol import CommentPage, FoundComment, More, Rejection, Unavailable
from signalflow.reddit.shapes import comment_of, safe_id


def tree_page_of(payload: object, answer: Answer) -> CommentPage:
    """The comments of a tree, each before its replies. Items that do not validate are left out, not their replies.

    Raises Unavailable unless the payload is the two listings of a post: itself, then its comments.
    """
    if not isinstance(payload, list) or len(payload) != 2:
        raise Unavailable("the answer is not the tree of a post", "unusable_answer", answer.rate_limit)
    comments: list[FoundComment] = []
    rejections: list[Rejection] = []
    more: list[More] = []
    for kind, data, depth in _walk(payload[1], answer):
        try:
            if kind == "more":
                more.append(_more_of(data))
            elif kind == "t1" and isinstance(data, dict):
                # Old answers do not tell the depth, and the tree shows it.
                comments.append(comment_of({"depth": depth} | data, answer.observed_at))
            else:
                raise Invalid("not a comment", field="kind")
        except Invalid as error:
            rejections.append(Rejection(safe_id(data) or hash(repr(data)), error.field or "item", str(error)))
    return CommentPage(tuple(comments), None, answer.observed_at, answer.rate_limit, tuple(rejections), tuple(more))


def _walk(listing: object, answer: Answer) -> Iterator[tuple[object, object, int]]:
    """Kind, data and depth of each item, each before its replies. Not by recursion: an answer may be of any depth."""
    waiting = [(child, 0) for child in reversed(children_of(listing, answer))]
    while waiting:
        child, depth = waiting.pop()
        kind, data = (child.get("kind"), child.get("data")) if isinstance(child, dict) else (None, None)
        yield kind, data, depth
        if replies := data.get("replies") if kind == "t1" and isinstance(data, dict) else None:
            waiting += [(reply, depth + 1) for reply in reversed(children_of(replies, answer))]


def _more_of(data: object) -> More:
    """What a "more" stands for. One that names no comment says that a thread goes on: at least one is left out."""
    if not isinstance(data, dict):
        raise Invalid("not a more", field="kind")
    children, count = data.get("children"), data.get("count")
    ids = tuple(id_ for child in children if (id_ := safe_id({"id": child}))) if isinstance(children, list) else ()
    return More(ids, max(count if isinstance(count, int) else 0, len(ids), 1))
