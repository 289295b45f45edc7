"""Reads posts from the JSON of files: archives, exports, data frames, and saved answers of Reddit's API.

Such files hold Reddit's fields, but not in Reddit's types: numbers are texts or 12.0 for 12, flags are 1.0, what is
missing is NaN, and texts are escaped for HTML. What is optional and cannot be read is unknown. What is required and
cannot be read rejects the post.
"""

import html
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from signalflow.domain.subreddits import NAME_PATTERN
from signalflow.errors import Invalid
from signalflow.events import Int32, Post
from signalflow.reddit.file_items import Item
from signalflow.reddit.shapes import EARLIEST_CREATED, LATEST_TIME, RawPost, post_of

_OTHER_KINDS = {
    "t1": "a comment",
    "t2": "an account",
    "t3": "a post without data",
    "t4": "a message",
    "t5": "a subreddit",
    "more": "a list of further comments",
}
_NUMBER = re.compile(r"\s*[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
# Only with a semicolon: in an address, `&copy=1` is a parameter.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ID = re.compile(r"[0-9a-z]{1,13}")
_FULL_NAME = re.compile(r"t3_[0-9a-z]{1,13}")
_NAME = re.compile(NAME_PATTERN)
# The address of a subreddit or an account up to its name, as Reddit writes it and as people copy it.
_PREFIX = re.compile(r"(?:(?:https?://)?(?:[a-z]+\.)?reddit\.com)?/?(r|u|user)/", re.IGNORECASE)
_REDDIT = re.compile(r"\A(?:(?:https?://)?(?:[a-z]+\.)?reddit\.com(?=/)|(?=(?:r|u|user|comments)/))/?", re.IGNORECASE)
# PRAW shows its objects so.
_SHOWN = re.compile(r"(?:Subreddit|Redditor)\((?:display_)?name='([^']*)'\)")
# Full names of accounts and subreddits, which are no names that people read.
_FULL_NAMES = ("t2_", "t5_")
# Times without an offset count as UTC, so these say nothing.
_UTC = re.compile(r"\s*(?:UTC|GMT|Z|\[UTC\])\Z", re.IGNORECASE)
# A time as in a header of HTTP or mail (RFC 9110, RFC 5322).
_TIME_OF_HEADERS = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} ")
_FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_NO_NUMBER = frozenset({"", "nan", "null", "none", "na", "n/a", "<na>", "nat", "\\n"})
# What programs write as the text of a missing value. Titles, texts and flairs may be such words, so these stay.
_NO_TEXT = frozenset({"None", "nan", "NaN", "<NA>", "\\N"})

# Larger numbers are no times, and the largest cannot be divided into a float.
_LATEST_NANOSECOND = LATEST_TIME * 10**9
_TYPES_OF_MONGODB = frozenset({"$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$date"})


class FilePost(RawPost, kw_only=True):
    """A post of a file. Archives that were written as posts appeared do not know the score."""

    score: Int32 | None = None  # type: ignore[assignment]


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
        "subreddit": _subreddit(item),
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


def _called(value: object) -> object:
    """The name that an account or a subreddit is called by, where it is an object, or is written as PRAW shows it."""
    if isinstance(value, dict):
        names = (value.get("display_name"), value.get("name"))
        return next((name for name in names if isinstance(name, str) and not name.startswith(_FULL_NAMES)), None)
    shown = _SHOWN.fullmatch(value.strip()) if isinstance(value, str) else None
    return shown[1] if shown else value


def _author(value: object) -> str | None:
    """The name of an account; None for `[deleted]` and `[removed]`."""
    name = _named(_called(value))
    if name is None or name.startswith("["):
        return None
    return _PREFIX.sub("", name, count=1).removesuffix("/") if "/" in name else name


def _id(item: Item) -> str | None:
    """The id, best from the full name: beside that, `id` may be the number of a row in somebody's database."""
    value, name = item.get("id"), item.get("name")
    if (isinstance(name, str) and _FULL_NAME.fullmatch(name)) or _known(value) in (None, ""):
        value = name
    if value is None:
        return None
    found = str(value).strip().removeprefix("t3_")
    if not _ID.fullmatch(found):
        raise Invalid("not the id of a post: up to 13 digits and small letters, with or without t3_", field="id")
    return found


def _subreddit(item: Item) -> str | None:
    name = _text(_called(item.get("subreddit"))) or _text(item.get("subreddit_name_prefixed"))
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
    return _REDDIT.sub("/", link) if link else None


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
    """Seconds since 1970, from a number, a number as text, or a time. A time without an offset is UTC.

    Data frames count milliseconds, microseconds or nanoseconds. As seconds these would be later than the year 9999.
    """
    value = _known(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value) and value.strip().lower() not in _NO_NUMBER:
        try:
            return _time(value.strip()).timestamp()
        except (ValueError, OverflowError) as error:
            raise Invalid("neither a number nor an ISO time", field=field) from error
    seconds = _number(value, field)
    for _ in ("milliseconds", "microseconds", "nanoseconds"):
        if seconds is not None and LATEST_TIME < seconds < _LATEST_NANOSECOND:
            seconds = seconds / 1000
    return seconds


def _time(text: str) -> datetime:
    """The time that ISO 8601 or a header of HTTP writes so. Raises ValueError."""
    is_header = _TIME_OF_HEADERS.match(text)
    time = parsedate_to_datetime(text) if is_header else datetime.fromisoformat(_UTC.sub("", text))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


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
