"""Reads events.Post from Reddit's JSON. The fields that we need are validated, all others are ignored.

A value that makes no sense costs the post only if the post is nothing without it; an optional one is unknown then.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from signalflow.errors import Invalid
from signalflow.events import Body, Count, Int32, Post, PostId, Ratio, Short, SubredditName, Title, Url, storable

# The answer's Date has whole seconds, and our clock counts as right within 2 s of it. So a post that was just created
# can be up to 3 s ahead of its own observation.
FUTURE_TOLERANCE = timedelta(seconds=3)
# Reddit opened in June 2005; a creation time before that is a missing or misread number.
EARLIEST_CREATED = datetime(2005, 6, 1, tzinfo=UTC).timestamp()
# Year 9999: beyond it Python has no datetime.
LATEST_TIME = 253_402_300_799

_Seconds = Annotated[float, Meta(ge=EARLIEST_CREATED, le=LATEST_TIME)]
_PATH = re.compile(r"`\$\.?([^`]*)`$|missing required field `([^`]*)`")
_ID = re.compile(r"[0-9a-z]{1,13}")


class RawPost(Struct, kw_only=True):
    """The data of a t3 as Reddit sends it. A number or flag that must not be guessed has no default."""

    id: PostId
    subreddit: SubredditName
    title: Title
    created_utc: _Seconds
    score: Int32
    num_comments: Count
    over_18: bool
    is_self: bool
    author: Short | None = None
    upvote_ratio: Ratio | None = None
    url: Url | None = None
    permalink: Short | None = None
    link_flair_text: Short | None = None
    edited: bool | _Seconds | None = False
    removed_by_category: Short | None = None
    selftext: Body | None = None


_OPTIONAL = frozenset(field.name for field in fields(RawPost) if not field.required)
_WHOLE_NUMBERS = frozenset({"score", "num_comments"})


def post_of(data: object, observed_at: datetime, shape: type[RawPost] = RawPost) -> Post:
    """The post in a t3's data (the parsed JSON). Raises Invalid, which names the field at fault but never its text."""
    return _post(_raw(data, shape), observed_at)


def _raw(data: object, shape: type[RawPost]) -> RawPost:
    for _ in RawPost.__struct_fields__:
        try:
            return msgspec.convert(data, shape)
        except msgspec.ValidationError as error:
            invalid = _invalid(error)
            if not isinstance(data, dict) or not (understood := _understood(data, invalid.field)):
                raise invalid from error
            data = data | understood
    raise Invalid("no field of the post can be read")


def _understood(data: dict[object, object], name: str | None) -> dict[str, object]:
    """What the field can be taken for, although its value is not valid; empty when the post cannot be read."""
    value = data.get(name)
    if name in _OPTIONAL:
        return {name: None}
    if name in _WHOLE_NUMBERS and isinstance(value, float) and value.is_integer():
        return {name: int(value)}
    return {}


def safe_id(data: object) -> str | None:
    """The id of an item that did not validate, for the log; None unless it looks like one."""
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def _invalid(error: msgspec.ValidationError) -> Invalid:
    match = _PATH.search(str(error))
    return Invalid(str(error), field=(match[1] or match[2] or None) if match else None)


def _post(raw: RawPost, observed_at: datetime) -> Post:
    created_utc = datetime.fromtimestamp(raw.created_utc, UTC)
    if created_utc > observed_at + FUTURE_TOLERANCE:
        ahead = (created_utc - observed_at).total_seconds()
        raise Invalid(f"created_utc is {ahead:.0f} s after the observation", field="created_utc")
    # For edits before 2012 Reddit sends only `true`: the time is unknown.
    edited = raw.edited
    edited_at = None if edited is None or isinstance(edited, bool) else datetime.fromtimestamp(edited, UTC)
    return Post(
        id=raw.id,
        subreddit=raw.subreddit,
        author=None if raw.author == "[deleted]" else _text(raw.author),
        title=storable(raw.title),
        created_utc=created_utc,
        score=raw.score,
        num_comments=raw.num_comments,
        upvote_ratio=raw.upvote_ratio,
        url=_text(raw.url),
        permalink=_text(raw.permalink),
        flair=_text(raw.link_flair_text),
        over_18=raw.over_18,
        is_self=raw.is_self,
        edited_at=edited_at,
        removed_by=_text(raw.removed_by_category),
        body=_text(raw.selftext),
    )


def _text(text: str | None) -> str | None:
    """Storable text. Reddit writes null or "" for no text (every link post has an empty selftext); we write None."""
    return storable(text) if text else None
