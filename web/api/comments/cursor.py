"""Cursors of comments as text. They are sealed like those of posts."""

from datetime import UTC, datetime, timedelta

import msgspec
import orjson

from signalflow.storage.comment_list import CommentCursor, CommentOrder
from web.api.cursors import NOT_OURS, seal, unseal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT32 = 2**31


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    key: int
    id: str
    position: int


def encode_cursor(cursor: CommentCursor, order: CommentOrder, walk: str) -> str:
    """The cursor as text for an address."""
    key = (cursor.key - _EPOCH) // timedelta(microseconds=1) if isinstance(cursor.key, datetime) else cursor.key
    return seal(orjson.dumps([key, cursor.id, cursor.position]), f"comments {order} {walk}")


def decode_cursor(text: str, order: CommentOrder, walk: str) -> CommentCursor:
    """The cursor that was encoded for the same walk. Raises ValueError for anything else."""
    try:
        fields = msgspec.json.decode(unseal(text, f"comments {order} {walk}"), type=_Fields)
        if order != "best":
            return CommentCursor(_EPOCH + timedelta(microseconds=fields.key), fields.id, fields.position)
        if not -_INT32 <= fields.key < _INT32:
            raise OverflowError("no score")
        return CommentCursor(fields.key, fields.id, fields.position)
    except (msgspec.DecodeError, OverflowError) as error:
        raise ValueError(NOT_OURS) from error
