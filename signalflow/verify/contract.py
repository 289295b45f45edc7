"""What a record of the raw topics must be: an observation of a post or of a comment.

The contract in words: the value is one JSON object with the fields of the envelope (signalflow/verify/json_checks.py
has the rules of JSON). NUL in a text becomes U+FFFD. What the source of a post does not tell, numbers and flags, is
null.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signalflow.kafka.reader import KafkaRecord
from signalflow.verify.json_checks import (
    Check,
    RefusedRecordError,
    flag,
    integer,
    object_of,
    or_null,
    parsed,
    share,
    string,
    time,
)

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
# Stands for who took a post or comment away where somebody asked to erase it.
REQUEST = "request"
# The history table refuses what is older than Reddit. Backfilled posts leave no history, so they may be.
REDDIT_OPENED = datetime(2005, 6, 23, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
MODES = ("new", "refresh", "hot", "top", "rising", "trending", "backfill")
BACKFILL = "backfill"
LISTINGS = ("new", "hot", "rising", "top:hour", "top:day", "top:week", "top:month", "top:year", "top:all")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_ID = re.compile(r"[0-9a-z]{1,13}")
_SUBREDDIT = re.compile(r"\w{1,32}|u_[\w-]{1,30}|t:\w{1,30}|[Rr]eddit\.com", re.ASCII)
_PARENT = re.compile(r"t[13]_[0-9a-z]{1,13}")
_TITLE = re.compile(r"^((?:https?://[^/]+)?/[^/]+/[^/]+/comments/[^/]+/)[^/]*/")


@dataclass(frozen=True, slots=True)
class Observed:
    """One valid record. `body_given` is False when the record has no body field."""

    id: str
    mode: str
    observed_at: datetime
    subreddit: str
    author: str | None
    title: str
    url: str | None
    permalink: str | None
    flair: str | None
    over_18: bool | None
    is_self: bool | None
    created_utc: datetime
    edited_at: datetime | None
    removed_by: str | None
    score: int | None
    num_comments: int | None
    upvote_ratio: float | None
    body: str | None
    body_given: bool
    post_sort: str = "new"
    listing: str | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class ObservedComment:
    """One valid record of a comment. Without `is_submitter` the fields from `controversiality` on are None."""

    id: str
    observed_at: datetime
    post_id: str
    created_utc: datetime
    parent_id: str | None
    depth: int | None
    subreddit: str
    author: str | None
    body: str | None
    permalink: str | None
    removed_by: str | None
    score: int | None
    controversiality: int | None
    is_submitter: bool | None
    distinguished: str | None
    stickied: bool | None
    edited_at: datetime | None


def observed(record: KafkaRecord, most_ahead: timedelta) -> Observed:
    """The observation in a record. Raises RefusedRecordError when the record must become a dead letter."""
    if record.value is None:
        raise RefusedRecordError("value", "none")
    envelope = object_of(parsed(record.value), _POST_ENVELOPE, "")
    post, metadata = envelope["payload"], envelope["metadata"]
    at, created = metadata["observed_at"], post["created_utc"]
    _check(record, post["id"], at, created, most_ahead)
    if (metadata.get("rank") is None) != (metadata.get("listing") is None):
        raise RefusedRecordError("metadata.rank", "a rank without its listing, or a listing without its rank")
    if metadata.get("rank") is not None and metadata.get("post_sort", "new") not in LISTINGS:
        raise RefusedRecordError("metadata.post_sort", "a rank without the name of a listing")
    return Observed(
        id=post["id"],
        mode=envelope["mode"],
        observed_at=_utc(at, "metadata.observed_at"),
        subreddit=post["subreddit"],
        author=_text(post["author"]),
        title=_text(post["title"]) or "",
        url=_text(post.get("url")),
        permalink=_text(post.get("permalink")),
        flair=_text(post.get("flair")),
        over_18=post.get("over_18", False),
        is_self=post.get("is_self", False),
        created_utc=_utc(created, "payload.created_utc"),
        edited_at=None if post.get("edited_at") is None else _utc(post["edited_at"], "payload.edited_at"),
        removed_by=_text(post.get("removed_by")),
        score=post["score"],
        num_comments=post["num_comments"],
        upvote_ratio=post.get("upvote_ratio"),
        body=_text(post.get("body")),
        body_given="body" in post,
        post_sort=metadata.get("post_sort", "new"),
        listing=metadata.get("listing"),
        rank=metadata.get("rank"),
    )


def observed_comment(record: KafkaRecord, most_ahead: timedelta) -> ObservedComment:
    """The observation in a record of the topic of comments. Raises as `observed` does."""
    if record.value is None:
        raise RefusedRecordError("value", "none")
    envelope = object_of(parsed(record.value), _COMMENT_ENVELOPE, "")
    comment, metadata = envelope["payload"], envelope["metadata"]
    at, created = metadata["observed_at"], comment["created_utc"]
    _check(record, comment["post_id"], at, created, most_ahead)
    # What a feed tells has no details; the API tells all of them.
    details = comment if comment.get("is_submitter") is not None else {}
    edited = details.get("edited_at")
    # Reddit shows neither of a comment that was taken away; other programs may still write them.
    is_gone = bool(comment.get("removed_by"))
    return ObservedComment(
        id=comment["id"],
        observed_at=_utc(at, "metadata.observed_at"),
        post_id=comment["post_id"],
        created_utc=_utc(created, "payload.created_utc"),
        parent_id=comment.get("parent_id"),
        depth=comment.get("depth"),
        subreddit=metadata["subreddit"],
        author=None if is_gone else _text(comment["author"]),
        body=None if is_gone else _text(comment["body"]),
        permalink=_without_title(_text(comment.get("permalink"))),
        removed_by=_text(comment.get("removed_by")),
        score=comment["score"],
        controversiality=details.get("controversiality"),
        is_submitter=details.get("is_submitter"),
        distinguished=_text(details.get("distinguished")),
        stickied=details.get("stickied"),
        edited_at=None if edited is None else _utc(edited, "payload.edited_at"),
    )


def _check(record: KafkaRecord, post_id: str, at: datetime, created: datetime, most_ahead: timedelta) -> None:
    """Raises RefusedRecordError for a wrong key and for times that no clock explains."""
    if record.key != post_id.encode():
        raise RefusedRecordError("key", "not the post's id")
    if at - BEGIN > timedelta(milliseconds=record.timestamp) + most_ahead:
        raise RefusedRecordError("metadata.observed_at", "too long after the record")
    if at < BEGIN or created < BEGIN:
        raise RefusedRecordError("metadata.observed_at" if at < BEGIN else "payload.created_utc", "before 1970")
    if created - at > ONE_DAY:
        raise RefusedRecordError("payload.created_utc", "more than a day after observed_at")


def attempt_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The attempt of a record: its first header `attempt` that is a number, and 1 without one."""
    for name, value in headers or ():
        if name == "attempt" and value and re.fullmatch(rb"\d+", value):
            return max(1, int(value[:9]))
    return 1


def is_copy(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Whether a record was sent again by `signalflow replay`: it says what an earlier record said."""
    return any(name == "replay_of" for name, _ in headers or ())


def _utc(moment: datetime, field: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        # Valid as it is written, but out of the range of the database driver in UTC.
        raise RefusedRecordError(field, "outside the years 1 to 9999 in UTC", "write") from error


def _text(text: str | None) -> str | None:
    return text.replace("\0", REPLACEMENT) if text else text


def _without_title(permalink: str | None) -> str | None:
    """A comment's permalink without the words of its post's title, which is erased with the post."""
    return _TITLE.sub(r"\1_/", permalink, count=1) if permalink else permalink


_SHORT = string()
_POST: dict[str, tuple[bool, Check]] = {
    "id": (True, string(pattern=_ID)),
    "subreddit": (True, string(pattern=_SUBREDDIT)),
    "author": (True, or_null(_SHORT)),
    "title": (True, string(600)),
    "created_utc": (True, time),
    "score": (True, or_null(integer(-(2**31)))),
    "num_comments": (True, or_null(integer(0))),
    "upvote_ratio": (False, or_null(share)),
    "url": (False, or_null(string(40_000))),
    "permalink": (False, or_null(_SHORT)),
    "flair": (False, or_null(_SHORT)),
    "over_18": (False, or_null(flag)),
    "is_self": (False, or_null(flag)),
    "edited_at": (False, or_null(time)),
    "removed_by": (False, or_null(_SHORT)),
    "body": (False, or_null(string(80_000))),
}
_COMMENT: dict[str, tuple[bool, Check]] = {
    "id": (True, string(pattern=_ID)),
    "post_id": (True, string(pattern=_ID)),
    "author": (True, or_null(_SHORT)),
    "body": (True, or_null(string(80_000))),
    "created_utc": (True, time),
    "score": (True, or_null(integer(-(2**31)))),
    "parent_id": (False, or_null(string(pattern=_PARENT))),
    "depth": (False, or_null(integer(0))),
    "controversiality": (False, or_null(integer(0))),
    "permalink": (False, or_null(_SHORT)),
    "is_submitter": (False, or_null(flag)),
    "distinguished": (False, or_null(_SHORT)),
    "stickied": (False, or_null(flag)),
    "edited_at": (False, or_null(time)),
    "removed_by": (False, or_null(_SHORT)),
}
_METADATA: dict[str, tuple[bool, Check]] = {
    "subreddit": (True, string(pattern=_SUBREDDIT)),
    "observed_at": (True, time),
    "post_sort": (False, _SHORT),
    "poll_id": (False, _SHORT),
    "listing": (False, or_null(string(pattern=_SUBREDDIT))),
    "rank": (False, or_null(integer(1))),
}


def _envelope(entity_type: str, payload: dict[str, tuple[bool, Check]]) -> dict[str, tuple[bool, Check]]:
    return {
        "schema_version": (False, integer(1, 1)),
        "entity_type": (True, string(choices=(entity_type,))),
        "source": (True, _SHORT),
        "mode": (True, string(choices=MODES)),
        "emitted_at": (True, time),
        "payload": (True, lambda value, path: object_of(value, payload, path)),
        "metadata": (True, lambda value, path: object_of(value, _METADATA, path)),
    }


_POST_ENVELOPE = _envelope("reddit_submission", _POST)
_COMMENT_ENVELOPE = _envelope("reddit_comment", _COMMENT)
