"""Cursors of the run history as text. They are sealed like those of posts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import orjson

from web.api.cursors import NOT_OURS, seal, unseal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The start and the id of the last run of a page.
RunCursor = tuple[datetime, UUID]


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    started: int
    id: UUID


def encode_cursor(cursor: RunCursor, walk: str) -> str:
    """The cursor as text for an address."""
    started_at, id_ = cursor
    return seal(orjson.dumps([(started_at - _EPOCH) // timedelta(microseconds=1), id_]), f"runs {walk}")


def decode_cursor(text: str, walk: str) -> RunCursor:
    """The cursor that was encoded for the same walk. Raises ValueError for anything else."""
    try:
        fields = msgspec.json.decode(unseal(text, f"runs {walk}"), type=_Fields)
        return _EPOCH + timedelta(microseconds=fields.started), fields.id
    except (msgspec.DecodeError, OverflowError) as error:
        raise ValueError(NOT_OURS) from error
