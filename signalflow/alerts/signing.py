"""Signatures of Standard Webhooks 1.0: a receiver sees that a message is ours, unchanged and new.

The receiver computes HMAC-SHA256 of `id.timestamp.body` with the secret that it shares with us. During a rotation a
message has one signature for each of the secrets, so that both the old and the new one are accepted.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from signalflow.errors import Invalid

_PREFIX = "whsec_"
# The specification wants 24 to 64 bytes.
_FEWEST, _MOST = 24, 64
_NEW = 32
# A dot would end the id in what is signed.
MESSAGE_ID = r"[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """What one target shares with us. Neither its text nor its representation tells it."""

    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "SigningSecret":
        """A random secret."""
        return cls(secrets.token_bytes(_NEW))

    @classmethod
    def of(cls, text: str) -> "SigningSecret":
        """The secret that `told` gave. Raises Invalid, without a word of the secret."""
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not text.startswith(_PREFIX) or not _FEWEST <= len(key) <= _MOST:
            raise Invalid(
                f"the signing secret is {_PREFIX} and the base64 of {_FEWEST} to {_MOST} bytes, as it was shown once; "
                "if it is lost, make a new one",
                field="secret",
            ) from None
        return cls(key)

    def told(self) -> str:
        """As the owner of the target gets it to see, once."""
        return _PREFIX + base64.b64encode(self.key).decode()


def signed_headers(id_: str, body: bytes, sent_at: datetime, keys: Sequence[SigningSecret]) -> dict[str, str]:
    """The headers of one attempt; without secrets there is no signature.

    Receivers refuse what was sent more than some minutes ago, so every attempt is signed anew, while the id, by which
    they know a message again, stays. Raises Invalid for an id of other characters than letters, digits, `_` and `-`.
    """
    if not re.fullmatch(MESSAGE_ID, id_):
        raise Invalid("the id of a message has 1 to 64 letters, digits, _ or -", field="id")
    seconds = str(int(sent_at.timestamp()))
    headers = {"webhook-id": id_, "webhook-timestamp": seconds}
    content = b".".join((id_.encode(), seconds.encode(), body))
    marks = (base64.b64encode(hmac.digest(secret.key, content, hashlib.sha256)).decode() for secret in keys)
    return headers | ({"webhook-signature": " ".join(f"v1,{mark}" for mark in marks)} if keys else {})
