"""Cursors of posts as text."""

from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import msgspec
import orjson

from signalflow.storage.post_list import Cursor
from signalflow.storage.post_orders import ORDERS, OrderName
from web.api.cursors import NOT_OURS, seal, unseal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The ranges of the database's types.
_RANGES = {"integer": 2**31, "bigint": 2**63}


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    key: list[int | float | None]
    id: str
    as_of: int
    position: int
    snapshot: str | None


def encode_cursor(cursor: Cursor, order: OrderName, walk: str) -> str:
    """The cursor as text for an address."""
    key = [_to_number(value) for value in cursor.key]
    content = orjson.dumps([key, cursor.id, _microseconds(cursor.as_of), cursor.position, cursor.snapshot])
    return seal(content, f"{order} {walk}")


def decode_cursor(text: str, order: OrderName, walk: str) -> Cursor:
    """The cursor that was encoded for the same walk. Raises ValueError for anything else."""
    try:
        fields = msgspec.json.decode(unseal(text, f"{order} {walk}"), type=_Fields)
        key = tuple(_to_value(value, kind) for value, (_, kind) in zip(fields.key, ORDERS[order].key, strict=True))
        if fields.as_of < 0:
            raise OverflowError("before any post")
        return Cursor(key, fields.id, _moment(fields.as_of), fields.position, fields.snapshot)
    except (msgspec.DecodeError, TypeError, OverflowError) as error:
        raise ValueError(NOT_OURS) from error


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _to_number(value: Any) -> int | float | None:
    """The value as JSON, which has no times and no infinity. Only an unknown velocity is infinite."""
    if isinstance(value, datetime):
        return _microseconds(value)
    return None if value == -inf else value


def _to_value(number: int | float | None, kind: str) -> Any:
    if kind == "float8":
        return -inf if number is None else float(number)
    if not isinstance(number, int):
        raise TypeError(f"{kind} is not whole")
    if kind == "timestamptz":
        return _moment(number)
    if not -_RANGES[kind] <= number < _RANGES[kind]:
        raise OverflowError(kind)
    return number
