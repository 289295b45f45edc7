"""Reads posts from the JSON of files: archives, exports, data frames, and saved answers of Reddit's API.

Such files hold Reddit's fields, but not in Reddit's types: numbers are texts or 12.0 for 12, flags are 1.0, what is
missing is NaN, and texts are escaped for HTML. What is optional and cannot be read is unknown. What is required and
cannot be read rejects the post.
"""

import html
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from signalflow.domain.subreddits import NAME_PATTERN
from signalflow.errors import Invalid
from signalflow.events import Int32, Post
from signalflow.reddit.shapes import EARLIEST_CREATED, LATEST_TIME, RawPost, post_of

_OTHER_KINDS = {
    "t1": "a comment",
    "t2": "an account",
    "t3": "a post without data",
    "t4": "a message",
    "t5": "a subreddit",
    "more": "a list of further comments",
}
# A page of a post lies in a list, and its comments in each other. Nothing with posts is nested more deeply than this.
_DEEPEST = 6

_NUMBER = re.compile(r"\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
# Only with a semicolon: in an address, `&copy=1` is a parameter.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ID = re.compile(r"[0-9a-z]{1,13}")
_NAME = re.compile(NAME_PATTERN)
_PREFIX = re.compile(r"/?(r|u|user)/", re.IGNORECASE)
_REDDIT = re.compile(r"https?://(?:[a-z]+\.)?reddit\.com(?=/)", re.IGNORECASE)
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
_NO_NUMBER = frozenset({"", "nan", "null", "none", "na", "n/a"})

Item = Mapping[str, object]


class FilePost(RawPost, kw_only=True):
    """A post of a file. Archives that were written as posts appeared do not know the score."""

    score: Int32 | None = None  # type: ignore[assignment]


def items_of(value: object) -> Iterator[object]:
    """What a JSON value holds: the items of lists, listings and answers of APIs; else the value itself."""
    return _items_of(value, 0)


def _items_of(value: object, depth: int) -> Iterator[object]:
    inner = _inner(value) if depth < _DEEPEST else None
    if inner is None:
        yield value
    elif isinstance(inner, list):
        for item in inner:
            yield from _items_of(item, depth + 1)
    else:
        yield from _items_of(inner, depth + 1)


def _inner(value: object) -> object | None:
    """What a wrapper holds; None when the value is none."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or "title" in value or value.get("kind", "t3") not in ("t3", "Listing"):
        return None
    for name in ("data", "children"):
        if isinstance(value.get(name), dict | list):
            inner: object = value[name]
            return inner
    return None


def post_of_item(item: object, observed_at: datetime) -> Post:
    """The post in an item, as seen at `observed_at`. Raises Invalid, which names the field at fault if there is one."""
    if not isinstance(item, dict):
        raise Invalid("not a JSON object")
    if "data" in item and "title" not in item:
        kind = item.get("kind")
        raise Invalid(f"{_OTHER_KINDS.get(str(kind), 'something else')}, not a post (kind {str(kind)[:20]!r})", "kind")
    if "title" not in item and ("link_id" in item or "parent_id" in item):
        raise Invalid("a comment, not a post", field="link_id")
    return post_of(_as_reddit_sends_it(item), observed_at, FilePost)


def _as_reddit_sends_it(item: Item) -> dict[str, object]:
    """The fields of a post with the types that Reddit's API gives them. What is missing or null is left out."""
    fields: dict[str, object] = {
        "id": _id(item),
        "subreddit": _subreddit(item.get("subreddit")),
        "title": _text(item.get("title")),
        "created_utc": _seconds(item.get("created_utc"), "created_utc"),
        "score": _number(item.get("score"), "score"),
        "num_comments": _number(item.get("num_comments"), "num_comments"),
        "over_18": _flag(item.get("over_18"), "over_18"),
        "is_self": _flag(item.get("is_self"), "is_self"),
        "author": _optional(item.get("author")),
        "upvote_ratio": _ratio(item.get("upvote_ratio")),
        "url": _optional(item.get("url"), 40_000),
        "permalink": _permalink(item.get("permalink")),
        "link_flair_text": _optional(item.get("link_flair_text")),
        "edited": _edited(item.get("edited")),
        "removed_by_category": _optional(item.get("removed_by_category")),
        "selftext": _text(item.get("selftext")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _known(value: object) -> object:
    """The value; None for NaN, which data frames write for what is missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(value: object) -> object:
    """A text, unescaped once and without NUL. A data frame makes a number of a text such as 1984."""
    if not isinstance(value, str):
        return str(value) if type(value) is int else _known(value)
    if "&" in value:
        value = _ENTITY.sub(lambda entity: html.unescape(entity[0]), value)
    return value.replace("\0", "")


def _optional(value: object, most: int = 4_096) -> str | None:
    """A text that may be missing; None for what is no text, or longer than any that Reddit has."""
    text = _text(value)
    return text if isinstance(text, str) and len(text) <= most else None


def _id(item: Item) -> str | None:
    value = item.get("id") if _known(item.get("id")) is not None else item.get("name")
    if value is None:
        return None
    found = str(value).removeprefix("t3_")
    if not _ID.fullmatch(found):
        raise Invalid("not the id of a post: up to 13 digits and small letters, with or without t3_", field="id")
    return found


def _subreddit(value: object) -> str | None:
    name = _text(value)
    if name is None:
        return None
    name = str(name).strip()
    if prefix := _PREFIX.match(name):
        name = name[prefix.end() :] if prefix[1].lower() == "r" else f"u_{name[prefix.end() :]}"
    if not _NAME.match(name):
        raise Invalid("not the name of a subreddit: letters, digits and _, with or without r/", field="subreddit")
    return name


def _permalink(value: object) -> str | None:
    link = _optional(value)
    return _REDDIT.sub("", link) if link else None


def _number(value: object, field: str) -> int | float | None:
    """A number, as a whole one if it is whole; None for null, NaN and an empty text."""
    if type(value) is int:
        return value
    value = _known(value)
    if value is None or (isinstance(value, str) and value.strip().lower() in _NO_NUMBER):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("not a number", field=field)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object, field: str) -> bool | None:
    if isinstance(value, bool):
        return value
    if _known(value) is None:
        return None
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise Invalid("neither true nor false", field=field)
    return flag


def _seconds(value: object, field: str) -> float | None:
    """Seconds since 1970, from a number, a number as text, or an ISO time. A time without an offset is UTC.

    Data frames count milliseconds, microseconds or nanoseconds. As seconds these would be later than the year 9999.
    """
    if isinstance(value, str) and not _NUMBER.fullmatch(value) and value.strip().lower() not in _NO_NUMBER:
        try:
            time = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            raise Invalid("neither a number nor an ISO time", field=field) from error
    seconds = _number(value, field)
    for _ in ("milliseconds", "microseconds", "nanoseconds"):
        if seconds is not None and seconds > LATEST_TIME:
            seconds = seconds / 1000
    return seconds


def _ratio(value: object) -> float | None:
    try:
        ratio = _number(value, "upvote_ratio")
    except Invalid:
        return None
    return ratio if ratio is not None and 0 <= ratio <= 1 else None


def _edited(value: object) -> bool | float | None:
    """The time of the edit; a flag where Reddit tells only that there was one."""
    if isinstance(value, bool) or str(value).strip().lower() in _FLAGS:
        return _flag(value, "edited")
    try:
        seconds = _seconds(value, "edited")
    except Invalid:
        return None
    return seconds if seconds is not None and EARLIEST_CREATED <= seconds <= LATEST_TIME else None
