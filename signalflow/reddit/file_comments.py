"""Reads comments from the items of files: archives, exports, and saved answers of Reddit's API."""

from datetime import datetime

from signalflow.errors import Invalid
from signalflow.events import Int32, ParentName
from signalflow.reddit.file_fields import (
    author_of,
    edited_of,
    flag_of,
    id_of,
    is_fullname,
    known,
    named_text,
    number_of,
    permalink_of,
    seconds_of,
    subreddit_of,
    text_of,
)
from signalflow.reddit.file_items import Item
from signalflow.reddit.protocol import FoundComment
from signalflow.reddit.shapes import RawComment, comment_of

_MOST = 2**31 - 1


class FileComment(RawComment, kw_only=True):
    """A comment of a file. Older archives tell no flags, and those that were written at once no score."""

    parent_id: ParentName | None = None  # type: ignore[assignment]
    score: Int32 | None = None  # type: ignore[assignment]
    score_hidden: bool = False
    is_submitter: bool | None = None  # type: ignore[assignment]
    stickied: bool | None = None  # type: ignore[assignment]


def is_comment(item: Item) -> bool:
    """Whether an item is meant to be a comment: it has a comment's fullname, or what only comments have."""
    return is_fullname(item.get("name"), "t1") or (
        "title" not in item and any(name in item for name in ("link_id", "parent_id", "body"))
    )


def file_comment(item: Item, observed_at: datetime) -> FoundComment:
    """The comment in an item, as seen at `observed_at`. Raises Invalid, which names the field at fault if it can."""
    return comment_of(_as_reddit_sends_it(item), observed_at, FileComment)


def _as_reddit_sends_it(item: Item) -> dict[str, object]:
    """The fields of a comment with the types that Reddit's API gives them. What is missing or null is left out."""
    link = _link(item.get("link_id"))
    fields: dict[str, object] = {
        "id": id_of(item, "t1"),
        "link_id": link,
        "parent_id": _parent(item.get("parent_id"), link),
        "subreddit": subreddit_of(item),
        "author": author_of(item.get("author")),
        "body": text_of(item.get("body")),
        "created_utc": seconds_of(item.get("created_utc"), "created_utc"),
        "score": number_of(item.get("score"), "score"),
        "score_hidden": _flag(item.get("score_hidden")),
        "is_submitter": _flag(item.get("is_submitter")),
        "stickied": _flag(item.get("stickied")),
        "depth": _count(item.get("depth")),
        "controversiality": _count(item.get("controversiality")),
        "permalink": permalink_of(item.get("permalink")),
        "distinguished": named_text(item.get("distinguished")),
        "edited": edited_of(item.get("edited")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _link(value: object) -> str | None:
    """The fullname of the post, from its fullname or its id."""
    text = known(value)
    return f"t3_{str(text).strip().removeprefix('t3_')}" if text not in (None, "") else None


def _parent(value: object, link: str | None) -> str | None:
    """The fullname of what the comment answers; None for what is no fullname, as in archives that number it."""
    text = str(value).strip()
    if is_fullname(text, "t1") or is_fullname(text, "t3"):
        return text
    return link if link == f"t3_{text}" else None


def _flag(value: object) -> bool | None:
    try:
        return flag_of(value, "flag")
    except Invalid:
        return None


def _count(value: object) -> int | float | None:
    try:
        count = number_of(value, "count")
    except Invalid:
        return None
    return count if isinstance(count, int) and 0 <= count <= _MOST else None
