"""Pseudonyms of authors: the same author has the same one wherever the same key is used, and nobody can undo them.

Without a secret key a list of all names would be enough to undo a hash.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

# 64 bits: among a million authors two have the same pseudonym with a probability of one in 37 million.
_DIGITS = 16
_PROFILE = "u_"


class Pseudonyms:
    """Replaces the author of rows. Addresses that hold the author's name become null.

    Subreddits of a profile (`u_name`) have the pseudonym of their name. Names within titles and texts stay: they
    cannot be told from other words.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @staticmethod
    def new_key() -> str:
        """A key that nobody knows."""
        return secrets.token_hex(32)

    def of(self, name: str) -> str:
        """The pseudonym of a name: 16 hexadecimal digits. Case does not matter, as on Reddit."""
        return hmac.digest(self._key, name.lower().encode(), "sha256").hex()[:_DIGITS]

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with pseudonyms. A row without an author may still be of a profile."""
        changed = dict(row)
        subreddit: str = row["subreddit"]
        names = [name for name in (row.get("author"),) if name]
        if subreddit.lower().startswith(_PROFILE):
            owner = subreddit[len(_PROFILE) :]
            names.append(owner)
            changed["subreddit"] = _PROFILE + self.of(owner)
        if row.get("author"):
            changed["author"] = self.of(row["author"])
        for address in ("url", "permalink"):
            text = row.get(address)
            if text and any(name.lower() in text.lower() for name in names):
                changed[address] = None
        return changed
