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
# Where answers of Reddit, of archives, of Elasticsearch and of many scripts have their posts.
_WRAPPERS = ("data", "children", "_source", "hits", "posts", "submissions", "results", "items")
# A page of a post lies in a list, and its comments in each other. Nothing with posts is nested more deeply than this.
_DEEPEST = 6

_NUMBER = re.compile(r"\s*[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
# Only with a semicolon: in an address, `&copy=1` is a parameter.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ID = re.compile(r"[0-9a-z]{1,13}")
_NAME = re.compile(NAME_PATTERN)
# The address of a subreddit or an account up to its name, as Reddit writes it and as people copy it.
_PREFIX = re.compile(r"(?:(?:https?://)?(?:[a-z]+\.)?reddit\.com)?/?(r|u|user)/", re.IGNORECASE)
_REDDIT = re.compile(r"https?://(?:[a-z]+\.)?reddit\.com(?=/)", re.IGNORECASE)
_FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_NO_NUMBER = frozenset({"", "nan", "null", "none", "na", "n/a", "<na>", "nat"})
# What programs write as the text of a missing value. Titles, texts and flairs may be such words, so these stay.
_NO_TEXT = frozenset({"None", "nan", "NaN", "<NA>"})

# Larger numbers are no times, and the largest cannot be divided into a float.
_LATEST_NANOSECOND = LATEST_TIME * 10**9
_TYPES_OF_MONGODB = frozenset({"$numberInt", "$numberLong", "$numberDouble", "$date"})

Item = Mapping[str, object]


class FilePost(RawPost, kw_only=True):
    """A post of a file. Archives that were written as posts appeared do not know the score."""

    score: Int32 | None = None  # type: ignore[assignment]


def items_of(value: object) -> Iterator[object]:
    """What a JSON value holds: the items of lists, listings, answers of APIs and data frames; else the value itself."""
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
    if not isinstance(value, dict):
        return None
    if (rows := _rows(value)) is not None:
        return rows
    if "title" in value or value.get("kind", "t3") not in ("t3", "Listing"):
        return None
    for name in _WRAPPERS:
        if isinstance(value.get(name), dict | list):
            inner: object = value[name]
            return inner
    return None


def _rows(frame: Item) -> list[object] | None:
    """The rows of a data frame, in whichever layout pandas wrote it; None when it is none.

    The layouts: a dict or a list for each column, a dict for each row, or `columns` and `data`.
    """
    columns, rows, titles = frame.get("columns"), frame.get("data"), frame.get("title")
    if isinstance(columns, list) and isinstance(rows, list):
        names = [str(name) for name in columns]
        return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]
    if titles and isinstance(titles, dict):
        by_label = {name: column for name, column in frame.items() if isinstance(column, dict)}
        return [{name: column.get(label) for name, column in by_label.items()} for label in titles]
    if titles and isinstance(titles, list):
        lists = {name: column for name, column in frame.items() if isinstance(column, list)}
        return [
            {name: column[number] for name, column in lists.items() if number < len(column)}
            for number in range(len(titles))
        ]
    if frame and all(isinstance(row, dict) and "title" in row for row in frame.values()):
        return list(frame.values())
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
    if "title" not in item and "error" in item:
        raise Invalid("an error of Reddit, not a post", field="error")
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
        "author": _author(item.get("author")),
        "upvote_ratio": _ratio(item.get("upvote_ratio")),
        "url": _named(item.get("url"), 40_000),
        "permalink": _permalink(item.get("permalink")),
        "link_flair_text": _optional(item.get("link_flair_text")),
        "edited": _edited(item.get("edited")),
        "removed_by_category": _named(item.get("removed_by_category")),
        "selftext": _text(item.get("selftext")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _known(value: object) -> object:
    """The value; None for NaN, which data frames write for what is missing.

    MongoDB exports a value with its type: {"$numberLong": "12"}.
    """
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _TYPES_OF_MONGODB:
        return _known(next(iter(value.values())))
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


def _named(value: object, most: int = 4_096) -> str | None:
    """A text that may be missing and is never a word for a missing value."""
    text = _optional(value, most)
    return None if text in _NO_TEXT else text


def _author(value: object) -> str | None:
    """The name of an account; None for `[deleted]` and `[removed]`."""
    name = _named(value)
    if name is None or name.startswith("["):
        return None
    return _PREFIX.sub("", name, count=1).removesuffix("/") if "/" in name else name


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
    name = str(name).strip().removesuffix("/")
    if prefix := _PREFIX.match(name):
        name = name[prefix.end() :] if prefix[1].lower() == "r" else f"u_{name[prefix.end() :]}"
    if not _NAME.match(name):
        raise Invalid("not the name of a subreddit: letters, digits and _, with or without r/", field="subreddit")
    return name


def _permalink(value: object) -> str | None:
    link = _named(value)
    return _REDDIT.sub("", link) if link else None


def _number(value: object, field: str) -> int | float | None:
    """A number, as a whole one if it is whole; None for null, NaN and an empty text."""
    if type(value) is int:
        return value
    value = _known(value)
    if value is None or (isinstance(value, str) and value.strip().lower() in _NO_NUMBER):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value.replace(",", ""))
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
    value = _known(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value) and value.strip().lower() not in _NO_NUMBER:
        try:
            time = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            raise Invalid("neither a number nor an ISO time", field=field) from error
    seconds = _number(value, field)
    for _ in ("milliseconds", "microseconds", "nanoseconds"):
        if seconds is not None and LATEST_TIME < seconds < _LATEST_NANOSECOND:
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
