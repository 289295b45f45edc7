"""Cursors as text. A checksum over order, filters and cursor reveals a cursor that was changed, or of another walk."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
import orjson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The time and the id of the last item of a page, in a list that is ordered by both.
Key = tuple[datetime, UUID]
TextKey = tuple[datetime, str]

NOT_OURS = "not a cursor of this API for this order and these filters"
_CHECKSUM_BYTES = 9
IdT = TypeVar("IdT", UUID, str)


class _Fields(msgspec.Struct, Generic[IdT], array_like=True, forbid_unknown_fields=True):
    time: int
    id: IdT


def encode_key(key: Key | TextKey, walk: str) -> str:
    """The cursor of an item as text for an address. `walk` names the list, and has its filters."""
    time, id_ = key
    return seal(orjson.dumps([(time - _EPOCH) // timedelta(microseconds=1), id_]), walk)


def decode_key(text: str, walk: str) -> Key:
    """The cursor that was encoded for the same walk. Raises ValueError for anything else."""
    return _decoded(text, walk, _Fields[UUID])


def decode_text_key(text: str, walk: str) -> TextKey:
    """The same of a list whose ids are texts."""
    return _decoded(text, walk, _Fields[str])


def _decoded(text: str, walk: str, kind: type[_Fields[IdT]]) -> tuple[datetime, IdT]:
    try:
        fields = msgspec.json.decode(unseal(text, walk), type=kind)
        return _EPOCH + timedelta(microseconds=fields.time), fields.id
    except (msgspec.DecodeError, OverflowError) as error:
        raise ValueError(NOT_OURS) from error


def seal(content: bytes, walk: str) -> str:
    """The content as text for an address, with its checksum."""
    return base64.urlsafe_b64encode(_checksum(content, walk) + content).rstrip(b"=").decode()


def unseal(text: str, walk: str) -> bytes:
    """The content of a text that `seal` made for the same walk. Raises ValueError for any other text."""
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise ValueError(NOT_OURS) from error
    content = sealed[_CHECKSUM_BYTES:]
    # The decoder ignores characters of other alphabets; a cursor must have only one text.
    if seal(content, walk) != text:
        raise ValueError(NOT_OURS)
    return content


def _checksum(content: bytes, walk: str) -> bytes:
    return blake2b(content, digest_size=_CHECKSUM_BYTES, key=blake2b(walk.encode()).digest()).digest()
