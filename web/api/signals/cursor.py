"""Cursors of signals as text. They are sealed like those of posts."""

from datetime import UTC, datetime, timedelta

import msgspec
import orjson

from signalflow.storage.signals import SignalKey
from web.api.cursors import NOT_OURS, seal, unseal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    started: int
    id: str


def encode_cursor(cursor: SignalKey, walk: str) -> str:
    """The cursor as text for an address."""
    started_at, id_ = cursor
    return seal(orjson.dumps([(started_at - _EPOCH) // timedelta(microseconds=1), id_]), f"signals {walk}")


def decode_cursor(text: str, walk: str) -> SignalKey:
    """The cursor that was encoded for the same walk. Raises ValueError for anything else."""
    try:
        fields = msgspec.json.decode(unseal(text, f"signals {walk}"), type=_Fields)
        return _EPOCH + timedelta(microseconds=fields.started), fields.id
    except (msgspec.DecodeError, OverflowError) as error:
        raise ValueError(NOT_OURS) from error
