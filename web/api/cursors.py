"""Cursors as text. A checksum over order, filters and cursor reveals a cursor that was changed, or of another walk."""

import base64
import binascii
from hashlib import blake2b

NOT_OURS = "not a cursor of this API for this order and these filters"
_CHECKSUM_BYTES = 9


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
