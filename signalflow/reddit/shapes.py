"""Reads posts, comments and subreddits from Reddit's JSON. The fields that we need are validated, no others.

A value that makes no sense costs the item only if the item is nothing without it; an optional one is unknown then.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from signalflow.domain.permalinks import without_title
from signalflow.domain.words import REMOVERS
from signalflow.errors import Invalid
from signalflow.events import (
    Body,
    Comment,
    CommentId,
    Count,
    Int32,
    ParentName,
    Post,
    PostId,
    Ratio,
    Short,
    SubredditName,
    Title,
    Url,
    storable,
    without_text,
    without_words,
)
from signalflow.reddit.protocol import FoundComment, FoundSubreddit

# The answer's Date has whole seconds, and our clock counts as right within 2 s of it. So a post that was just created
# can be up to 3 s ahead of its own observation.
FUTURE_TOLERANCE = timedelta(seconds=3)
# Reddit opened in June 2005; a creation time before that is a missing or misread number.
EARLIEST_CREATED = datetime(2005, 6, 1, tzinfo=UTC).timestamp()
# Year 9999: beyond it Python has no datetime.
LATEST_TIME = 253_402_300_799

# What Reddit writes instead of the text of a post or comment that is gone, and who took it away. Bots of a subreddit
# count as its moderators.
REMOVED_BY = {"[deleted]": "deleted", "[removed]": "moderator", "[ Removed by Reddit ]": "reddit"}

_Seconds = Annotated[float, Meta(ge=EARLIEST_CREATED, le=LATEST_TIME)]
_PostName = Annotated[str, Meta(pattern=r"\At3_[0-9a-z]{1,13}\Z")]
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


class RawComment(Struct, kw_only=True):
    """The data of a t1 as Reddit sends it. `score` is not the true one while `score_hidden` is true."""

    id: CommentId
    link_id: _PostName
    parent_id: ParentName
    subreddit: SubredditName
    created_utc: _Seconds
    body: Body
    score: Int32
    score_hidden: bool
    is_submitter: bool
    stickied: bool
    author: Short | None = None
    depth: Count | None = None
    controversiality: Count | None = None
    permalink: Short | None = None
    distinguished: Short | None = None
    edited: bool | _Seconds | None = False


class RawSubreddit(Struct, kw_only=True):
    """The data of a t5 as Reddit sends it."""

    display_name: SubredditName
    over18: bool


_OPTIONAL_OF_POSTS = frozenset(field.name for field in fields(RawPost) if not field.required)
_OPTIONAL_OF_COMMENTS = frozenset(field.name for field in fields(RawComment) if not field.required)
_WHOLE_NUMBERS = frozenset({"score", "num_comments"})
ShapeT = TypeVar("ShapeT", bound=RawPost | RawComment)


def post_of(data: object, observed_at: datetime, shape: type[RawPost] = RawPost) -> Post:
    """The post in a t3's data (the parsed JSON). Raises Invalid, which names the field at fault but never its text."""
    return _post(_raw(data, shape, _OPTIONAL_OF_POSTS), observed_at)


def comment_of(data: object, observed_at: datetime, shape: type[RawComment] = RawComment) -> FoundComment:
    """The comment in a t1's data (the parsed JSON). Raises Invalid as `post_of` does."""
    raw = _raw(data, shape, _OPTIONAL_OF_COMMENTS)
    removed_by = REMOVED_BY.get((raw.body or "").strip())
    permalink = _text(raw.permalink)
    comment = Comment(
        id=raw.id,
        post_id=raw.link_id.removeprefix("t3_"),
        parent_id=raw.parent_id,
        depth=raw.depth,
        author=_author(raw.author),
        body=_text(raw.body),
        created_utc=_created_at(raw.created_utc, observed_at),
        score=None if raw.score_hidden else raw.score,
        controversiality=raw.controversiality,
        permalink=without_title(permalink) if permalink else None,
        is_submitter=raw.is_submitter,
        distinguished=_text(raw.distinguished),
        stickied=raw.stickied,
        edited_at=_edited_at(raw.edited),
        removed_by=removed_by,
    )
    return FoundComment(raw.subreddit, without_words(comment) if removed_by else comment)


def subreddit_of(data: object) -> FoundSubreddit:
    """The subreddit in a t5's data (the parsed JSON). Raises Invalid as `post_of` does."""
    try:
        raw = msgspec.convert(data, RawSubreddit)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    return FoundSubreddit(raw.display_name, raw.over18)


def _raw(data: object, shape: type[ShapeT], optional: frozenset[str]) -> ShapeT:
    for _ in shape.__struct_fields__:
        try:
            return msgspec.convert(data, shape)
        except msgspec.ValidationError as error:
            invalid = _invalid(error)
            if not isinstance(data, dict) or not (understood := _understood(data, invalid.field, optional)):
                raise invalid from error
            data = data | understood
    raise Invalid("no field can be read")


def _understood(data: dict[object, object], name: str | None, optional: frozenset[str]) -> dict[str, object]:
    """What the field can be taken for, although its value is not valid; empty when the item cannot be read."""
    value = data.get(name)
    if name in optional:
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
    post = Post(
        id=raw.id,
        subreddit=raw.subreddit,
        author=_author(raw.author),
        title=storable(raw.title),
        created_utc=_created_at(raw.created_utc, observed_at),
        score=raw.score,
        num_comments=raw.num_comments,
        upvote_ratio=raw.upvote_ratio,
        url=_text(raw.url),
        permalink=_text(raw.permalink),
        flair=_text(raw.link_flair_text),
        over_18=raw.over_18,
        is_self=raw.is_self,
        edited_at=_edited_at(raw.edited),
        removed_by=_removed_by(raw.removed_by_category, raw.selftext),
        body=_text(raw.selftext),
    )
    return without_text(post) if post.removed_by else post


def _removed_by(category: str | None, selftext: str | None) -> str | None:
    """Who took a post away, in Reddit's words; `other` for a word that is not known. None while the post stands.

    Data from before Reddit had the category tells it only by what stands instead of the text.
    """
    if not category:
        return REMOVED_BY.get((selftext or "").strip())
    return category if category in REMOVERS else "other"


def _created_at(seconds: float, observed_at: datetime) -> datetime:
    created = datetime.fromtimestamp(seconds, UTC)
    if created > observed_at + FUTURE_TOLERANCE:
        ahead = (created - observed_at).total_seconds()
        raise Invalid(f"created_utc is {ahead:.0f} s after the observation", field="created_utc")
    return created


def _edited_at(edited: bool | float | None) -> datetime | None:
    """For edits before 2012 Reddit sends only `true`: the time is unknown."""
    return None if edited is None or isinstance(edited, bool) else datetime.fromtimestamp(edited, UTC)


def _author(name: str | None) -> str | None:
    return None if name == "[deleted]" else _text(name)


def _text(text: str | None) -> str | None:
    """Storable text. Reddit writes null or "" for no text (every link post has an empty selftext); we write None."""
    return storable(text) if text else None
