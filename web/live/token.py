"""The resume token: the id of the topic, and for each partition the first offset that the client has not received.

Compact and opaque: base64url without padding of a version byte, the topic's id, and the offsets as LEB128.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from signalflow.errors import Invalid

MOST_CHARACTERS = 8192
_VERSION = 1
_HEAD = 17
_LARGEST_OFFSET = 2**63 - 1


@dataclass(frozen=True)
class ResumeToken:
    """Where a client resumes. `offsets` has the next offset of each partition."""

    topic: UUID
    offsets: tuple[int, ...]


def encode_token(topic: UUID, offsets: Sequence[int]) -> str:
    """The token as text."""
    plain = bytearray([_VERSION])
    plain += topic.bytes
    for offset in offsets:
        while offset > 0x7F:
            plain.append(0x80 | (offset & 0x7F))
            offset >>= 7
        plain.append(offset)
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def decode_token(text: str) -> ResumeToken:
    """The token that was encoded. Raises Invalid for any other text."""
    malformed = Invalid("not a resume token of this API", "since")
    if len(text) > MOST_CHARACTERS:
        raise malformed
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise malformed from error
    if len(plain) <= _HEAD or plain[0] != _VERSION:
        raise malformed
    offsets, value, shift = [], 0, 0
    for byte in plain[_HEAD:]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            offsets.append(value)
            value = shift = 0
    token = ResumeToken(UUID(bytes=plain[1:_HEAD]), tuple(offsets))
    # A token has only one text: it is not cut off, has no padding inside, and no number has more bytes than it needs.
    if shift or max(offsets) > _LARGEST_OFFSET or encode_token(token.topic, token.offsets) != text:
        raise malformed
    return token
