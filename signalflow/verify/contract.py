"""What a record of the raw topic must be, checked with json and datetime alone.

The contract in words: the value is one JSON object with the fields of the envelope; other fields are ignored. Strings
have no lone surrogates, integers are written as integers, and times follow RFC 3339 with an offset. Of a name that
occurs twice every value must be valid, and the last one counts. NUL in a text becomes U+FFFD. What the
source of a post does not tell, numbers and flags, is null.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from signalflow.kafka.reader import KafkaRecord

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
# The history table refuses what is older than Reddit. Backfilled posts leave no history, so they may be.
REDDIT_OPENED = datetime(2005, 6, 23, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
MODES = ("new", "refresh", "hot", "top", "rising", "trending", "backfill")
BACKFILL = "backfill"
LISTINGS = ("new", "hot", "rising", "top:hour", "top:day", "top:week", "top:month", "top:year", "top:all")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d))", re.ASCII
)
_ID = re.compile(r"[0-9a-z]{1,13}")
_SUBREDDIT = re.compile(r"\w{1,32}|u_[\w-]{1,30}|t:\w{1,30}|[Rr]eddit\.com", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Bytes that are not UTF-8 are read as surrogates. In fields that are ignored they do no harm.
_ESCAPED_BYTES = re.compile("[\udc80-\udcff]")
# Longer numbers fit no field, and Python refuses to convert very many digits.
_MOST_DIGITS = 40


class RefusedRecordError(ValueError):
    """The record must become a dead letter. `stage`: validate, or write when only the table can refuse it."""

    def __init__(self, field: str, why: str, stage: str = "validate") -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.stage = field, stage


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


def observed(record: KafkaRecord, most_ahead: timedelta) -> Observed:
    """The observation in a record. Raises RefusedRecordError when the record must become a dead letter."""
    if record.value is None:
        raise RefusedRecordError("value", "none")
    envelope = _object(_parsed(record.value), _ENVELOPE, "")
    post, metadata = envelope["payload"], envelope["metadata"]
    at, created = metadata["observed_at"], post["created_utc"]
    if record.key != post["id"].encode():
        raise RefusedRecordError("key", "not the post's id")
    if at - BEGIN > timedelta(milliseconds=record.timestamp) + most_ahead:
        raise RefusedRecordError("metadata.observed_at", "too long after the record")
    if (metadata.get("rank") is None) != (metadata.get("listing") is None):
        raise RefusedRecordError("metadata.rank", "a rank without its listing, or a listing without its rank")
    if metadata.get("rank") is not None and metadata.get("post_sort", "new") not in LISTINGS:
        raise RefusedRecordError("metadata.post_sort", "a rank without the name of a listing")
    if at < BEGIN or created < BEGIN:
        raise RefusedRecordError("metadata.observed_at" if at < BEGIN else "payload.created_utc", "before 1970")
    if created - at > ONE_DAY:
        raise RefusedRecordError("payload.created_utc", "more than a day after observed_at")
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


def attempt_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The attempt of a record: its first header `attempt` that is a number, and 1 without one."""
    for name, value in headers or ():
        if name == "attempt" and value and re.fullmatch(rb"\d+", value):
            return max(1, int(value[:9]))
    return 1


def _utc(time: datetime, field: str) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        # Valid as it is written, but out of the range of the database driver in UTC.
        raise RefusedRecordError(field, "outside the years 1 to 9999 in UTC", "write") from error


def _text(text: str | None) -> str | None:
    return text.replace("\0", REPLACEMENT) if text else text


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps repeated names."""


def _parsed(value: bytes) -> Any:
    def no_constant(name: str) -> Any:
        raise RefusedRecordError("value", f"{name} is no JSON")

    def number(digits: str) -> int:
        return int(digits[:_MOST_DIGITS])

    text = value.decode("utf-8", "surrogateescape")
    try:
        return json.loads(text, object_pairs_hook=_Pairs, parse_constant=no_constant, parse_int=number)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, RefusedRecordError) else RefusedRecordError("value", "no JSON") from error


_Check = Callable[[Any, str], Any]


def _object(value: Any, fields: Mapping[str, tuple[bool, _Check]], path: str) -> dict[str, Any]:
    if not isinstance(value, _Pairs):
        raise RefusedRecordError(path or "value", "not an object")
    found: dict[str, Any] = {}
    for name, item in value:
        where = f"{path}.{name}" if path else name
        if name in fields:
            found[name] = fields[name][1](item, where)
        else:
            _passed_over(name)
            _passed_over(item)
    for name, (required, _) in fields.items():
        if required and name not in found:
            raise RefusedRecordError(f"{path}.{name}" if path else name, "missing")
    return found


def _passed_over(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, str) and _SURROGATE.search(_ESCAPED_BYTES.sub("", item)):
            raise RefusedRecordError("value", "a lone surrogate")


def _string(most: int = 4096, pattern: re.Pattern[str] | None = None, choices: tuple[str, ...] = ()) -> _Check:
    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or len(value) > most or _SURROGATE.search(value):
            raise RefusedRecordError(path, "not a text that fits")
        if (pattern and not pattern.fullmatch(value)) or (choices and value not in choices):
            raise RefusedRecordError(path, "not one of those allowed")
        return value

    return check


def _integer(least: int, most: int = 2**31 - 1) -> _Check:
    def check(value: Any, path: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise RefusedRecordError(path, "not an integer in range")
        return value

    return check


def _share(value: Any, path: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise RefusedRecordError(path, "not a number from 0 to 1")
    return float(value)


def _flag(value: Any, path: str) -> bool:
    if type(value) is not bool:
        raise RefusedRecordError(path, "neither true nor false")
    return value


def _time(value: Any, path: str) -> datetime:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise RefusedRecordError(path, "no RFC 3339 time with an offset")
    *date_and_time, fraction, _, sign, hours, minutes = match.groups()
    # Digits beyond the microsecond are rounded.
    digits = (fraction or "").ljust(7, "0")
    extra = timedelta(microseconds=int(digits[:6]) + (digits[6] >= "5"))
    try:
        if int(minutes or 0) > 59:
            raise ValueError("minutes of an offset")
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
        return datetime(*map(int, date_and_time), tzinfo=zone) + extra  # type: ignore[misc, arg-type]
    except (ValueError, OverflowError) as error:
        raise RefusedRecordError(path, "no such time") from error


def _or_null(check: _Check) -> _Check:
    return lambda value, path: None if value is None else check(value, path)


_SHORT = _string()
_POST: dict[str, tuple[bool, _Check]] = {
    "id": (True, _string(pattern=_ID)),
    "subreddit": (True, _string(pattern=_SUBREDDIT)),
    "author": (True, _or_null(_SHORT)),
    "title": (True, _string(600)),
    "created_utc": (True, _time),
    "score": (True, _or_null(_integer(-(2**31)))),
    "num_comments": (True, _or_null(_integer(0))),
    "upvote_ratio": (False, _or_null(_share)),
    "url": (False, _or_null(_string(40_000))),
    "permalink": (False, _or_null(_SHORT)),
    "flair": (False, _or_null(_SHORT)),
    "over_18": (False, _or_null(_flag)),
    "is_self": (False, _or_null(_flag)),
    "edited_at": (False, _or_null(_time)),
    "removed_by": (False, _or_null(_SHORT)),
    "body": (False, _or_null(_string(80_000))),
}
_METADATA: dict[str, tuple[bool, _Check]] = {
    "subreddit": (True, _string(pattern=_SUBREDDIT)),
    "observed_at": (True, _time),
    "post_sort": (False, _SHORT),
    "poll_id": (False, _SHORT),
    "listing": (False, _or_null(_string(pattern=_SUBREDDIT))),
    "rank": (False, _or_null(_integer(1))),
}
_ENVELOPE: dict[str, tuple[bool, _Check]] = {
    "schema_version": (False, _integer(1, 1)),
    "entity_type": (True, _string(choices=("reddit_submission",))),
    "source": (True, _SHORT),
    "mode": (True, _string(choices=MODES)),
    "emitted_at": (True, _time),
    "payload": (True, lambda value, path: _object(value, _POST, path)),
    "metadata": (True, lambda value, path: _object(value, _METADATA, path)),
}
