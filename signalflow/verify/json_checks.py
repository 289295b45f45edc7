"""Checks of the JSON in a record, with json and datetime alone.

Other fields than those asked for are ignored. Strings have no lone surrogates, integers are written as integers, and
times follow RFC 3339 with an offset. Of a name that occurs twice every value must be valid, and the last one counts.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d))", re.ASCII
)
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


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps repeated names."""


def parsed(value: bytes) -> Any:
    """The value of a record. Raises RefusedRecordError, as all checks do."""

    def no_constant(name: str) -> Any:
        raise RefusedRecordError("value", f"{name} is no JSON")

    def number(digits: str) -> int:
        return int(digits[:_MOST_DIGITS])

    text = value.decode("utf-8", "surrogateescape")
    try:
        return json.loads(text, object_pairs_hook=_Pairs, parse_constant=no_constant, parse_int=number)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, RefusedRecordError) else RefusedRecordError("value", "no JSON") from error


Check = Callable[[Any, str], Any]


def object_of(value: Any, fields: Mapping[str, tuple[bool, Check]], path: str) -> dict[str, Any]:
    """The fields of an object: by name, whether they must be there and how they are checked."""
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


def string(most: int = 4096, pattern: re.Pattern[str] | None = None, choices: tuple[str, ...] = ()) -> Check:
    """A text of at most `most` characters, of this pattern, or one of these choices."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or len(value) > most or _SURROGATE.search(value):
            raise RefusedRecordError(path, "not a text that fits")
        if (pattern and not pattern.fullmatch(value)) or (choices and value not in choices):
            raise RefusedRecordError(path, "not one of those allowed")
        return value

    return check


def integer(least: int, most: int = 2**31 - 1) -> Check:
    """A whole number from `least` to `most`."""

    def check(value: Any, path: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise RefusedRecordError(path, "not an integer in range")
        return value

    return check


def share(value: Any, path: str) -> float:
    """A number from 0 to 1."""
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise RefusedRecordError(path, "not a number from 0 to 1")
    return float(value)


def flag(value: Any, path: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise RefusedRecordError(path, "neither true nor false")
    return value


def time(value: Any, path: str) -> datetime:
    """A time with an offset."""
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


def or_null(check: Check) -> Check:
    """Null, or what the check lets through."""
    return lambda value, path: None if value is None else check(value, path)
