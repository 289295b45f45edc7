"""Cursors of topic clusters as text. They are sealed like those of posts."""

from datetime import UTC, datetime, timedelta

import msgspec
import orjson

from signalflow.storage.topic_list import TopicKey
from web.api.cursors import NOT_OURS, seal, unseal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    newest: int
    id: str


def encode_cursor(cursor: TopicKey, walk: str) -> str:
    """The cursor as text for an address."""
    newest_at, id_ = cursor
    return seal(orjson.dumps([(newest_at - _EPOCH) // timedelta(microseconds=1), id_]), f"topics {walk}")


def decode_cursor(text: str, walk: str) -> TopicKey:
    """The cursor that was encoded for the same walk. Raises ValueError for anything else."""
    try:
        fields = msgspec.json.decode(unseal(text, f"topics {walk}"), type=_Fields)
        return _EPOCH + timedelta(microseconds=fields.newest), fields.id
    except (msgspec.DecodeError, OverflowError) as error:
        raise ValueError(NOT_OURS) from error
