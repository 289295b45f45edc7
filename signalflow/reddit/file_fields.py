"""Reads the values of Reddit's fields as files write them.

Such files hold Reddit's fields, but not in Reddit's types: numbers are texts or 12.0 for 12, flags are 1.0, what is
missing is NaN, and texts are escaped for HTML. What is optional and cannot be read is unknown. What is required and
cannot be read raises Invalid.
"""

import html
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from signalflow.domain.subreddits import NAME_PATTERN
from signalflow.errors import Invalid
from signalflow.reddit.file_items import Item
from signalflow.reddit.shapes import EARLIEST_CREATED, LATEST_TIME

# Reddit's types: a comment, a post.
Kind = Literal["t1", "t3"]
_CALLED: dict[Kind, str] = {"t1": "a comment", "t3": "a post"}

_NUMBER = re.compile(r"\s*[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
# Only with a semicolon: in an address, `&copy=1` is a parameter.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ID = re.compile(r"[0-9a-z]{1,13}")
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


def id_of(item: Item, kind: Kind) -> str | None:
    """The id, best from the full name: beside that, `id` may be the number of a row in somebody's database."""
    value, name = item.get("id"), item.get("name")
    if is_fullname(name, kind) or known(value) in (None, ""):
        value = name
    if value is None:
        return None
    found = str(value).strip().removeprefix(f"{kind}_")
    if not _ID.fullmatch(found):
        called = _CALLED[kind]
        raise Invalid(f"not the id of {called}: up to 13 digits and small letters, with or without {kind}_", field="id")
    return found


def is_fullname(value: object, kind: Kind) -> bool:
    """Whether a value is the fullname of a thing of this kind."""
    return isinstance(value, str) and value.startswith(f"{kind}_") and _ID.fullmatch(value, 3) is not None


def known(value: object) -> object:
    """The value; None for NaN, which data frames write for what is missing.

    MongoDB exports a value with its type: {"$numberLong": "12"}.
    """
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _TYPES_OF_MONGODB:
        return known(next(iter(value.values())))
    return None if isinstance(value, float) and math.isnan(value) else value


def text_of(value: object) -> object:
    """A text, unescaped once and without NUL. A data frame makes a number of a text such as 1984."""
    if not isinstance(value, str):
        return str(value) if type(value) is int else known(value)
    if "&" in value:
        value = _ENTITY.sub(lambda entity: html.unescape(entity[0]), value)
    return value.replace("\0", "")


def optional_text(value: object, most: int = 4_096) -> str | None:
    """A text that may be missing; None for what is no text, or longer than any that Reddit has."""
    text = text_of(value)
    return text if isinstance(text, str) and len(text) <= most else None


def named_text(value: object, most: int = 4_096) -> str | None:
    """A text that may be missing and is never a word for a missing value."""
    text = optional_text(value, most)
    return None if text in _NO_TEXT else text


def _called(value: object) -> object:
    """The name that an account or a subreddit is called by, where it is an object, or is written as PRAW shows it."""
    if isinstance(value, dict):
        names = (value.get("display_name"), value.get("name"))
        return next((name for name in names if isinstance(name, str) and not name.startswith(_FULL_NAMES)), None)
    shown = _SHOWN.fullmatch(value.strip()) if isinstance(value, str) else None
    return shown[1] if shown else value


def author_of(value: object) -> str | None:
    """The name of an account; None for `[deleted]` and `[removed]`."""
    name = named_text(_called(value))
    if name is None or name.startswith("["):
        return None
    return _PREFIX.sub("", name, count=1).removesuffix("/") if "/" in name else name


def subreddit_of(item: Item) -> str | None:
    """The name of the subreddit, without r/. That of a user is u_ with the user's name."""
    name = text_of(_called(item.get("subreddit"))) or text_of(item.get("subreddit_name_prefixed"))
    if name is None:
        return None
    name = str(name).strip().removesuffix("/")
    if prefix := _PREFIX.match(name):
        name = name[prefix.end() :] if prefix[1].lower() == "r" else f"u_{name[prefix.end() :]}"
    if not _NAME.match(name):
        raise Invalid("not the name of a subreddit: letters, digits and _, with or without r/", field="subreddit")
    return name


def permalink_of(value: object) -> str | None:
    """The path of the address on Reddit."""
    link = named_text(value)
    return _REDDIT.sub("/", link) if link else None


def number_of(value: object, field: str) -> int | float | None:
    """A number, as a whole one if it is whole; None for null, NaN and an empty text."""
    if type(value) is int:
        return value
    value = known(value)
    if value is None or (isinstance(value, str) and value.strip().lower() in _NO_NUMBER):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value.replace(",", ""))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("not a number", field=field)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flag_of(value: object, field: str) -> bool | None:
    """True or false; None for null and NaN."""
    if isinstance(value, bool):
        return value
    if known(value) is None:
        return None
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise Invalid("neither true nor false", field=field)
    return flag


def seconds_of(value: object, field: str) -> float | None:
    """Seconds since 1970, from a number, a number as text, or a time. A time without an offset is UTC.

    Data frames count milliseconds, microseconds or nanoseconds. As seconds these would be later than the year 9999.
    """
    value = known(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value) and value.strip().lower() not in _NO_NUMBER:
        try:
            return _time(value.strip()).timestamp()
        except (ValueError, OverflowError) as error:
            raise Invalid("neither a number nor an ISO time", field=field) from error
    seconds = number_of(value, field)
    for _ in ("milliseconds", "microseconds", "nanoseconds"):
        if seconds is not None and LATEST_TIME < seconds < _LATEST_NANOSECOND:
            seconds = seconds / 1000
    return seconds


def _time(text: str) -> datetime:
    """The time that ISO 8601 or a header of HTTP writes so. Raises ValueError."""
    is_header = _TIME_OF_HEADERS.match(text)
    time = parsedate_to_datetime(text) if is_header else datetime.fromisoformat(_UTC.sub("", text))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def ratio_of(value: object) -> float | None:
    """A number between 0 and 1; None for all else."""
    try:
        ratio = number_of(value, "upvote_ratio")
    except Invalid:
        return None
    return ratio if ratio is not None and 0 <= ratio <= 1 else None


def edited_of(value: object) -> bool | float | None:
    """The time of the edit; a flag where Reddit tells only that there was one."""
    if isinstance(value, bool) or str(value).strip().lower() in _FLAGS:
        return flag_of(value, "edited")
    try:
        seconds = seconds_of(value, "edited")
    except Invalid:
        return None
    return seconds if seconds is not None and EARLIEST_CREATED <= seconds <= LATEST_TIME else None
