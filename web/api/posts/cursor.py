"""The opaque position of a page: the moment and the id of the last post before it."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta

from signalflow.storage.feed import Cursor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = re.compile(r"(\d{1,17})\.([0-9a-z]{1,13})", re.ASCII)


def encode_cursor(cursor: Cursor) -> str:
    """The cursor as text for an address."""
    microseconds = (cursor.created_utc - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{microseconds}.{cursor.id}".encode()).rstrip(b"=").decode()


def decode_cursor(text: str) -> Cursor:
    """The cursor that was encoded. Raises ValueError for anything else."""
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not a cursor of this API") from error
    match = _PLAIN.fullmatch(plain)
    if match is None:
        raise ValueError("not a cursor of this API")
    cursor = Cursor(_EPOCH + timedelta(microseconds=int(match[1])), match[2])
    # The decoder overlooks characters that do not belong there; a position has one text only.
    if encode_cursor(cursor) != text:
        raise ValueError("not a cursor of this API")
    return cursor
