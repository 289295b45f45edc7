"""Signed tokens: what they say, and how they are read. Pure; the time is passed in."""

import hashlib
import hmac
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import jwt

from signalflow.errors import Fatal

ISSUER = "signalflow"
# Pinned: a token that names another algorithm, or none, is no token of ours.
ALGORITHM = "HS256"
ACCESS_LIFETIME = timedelta(minutes=10)
BROWSER_LIFETIME = timedelta(days=7)
# Clocks of two API processes may differ by so much.
LEEWAY = timedelta(seconds=5)

Kind = Literal["access", "browser"]
# An audience a kind: a cookie is no bearer token, and the other way round.
AUDIENCES: dict[Kind, str] = {"access": "signalflow-api", "browser": "signalflow-browser"}

MIN_SECRET_CHARACTERS = 32
MIN_DISTINCT_CHARACTERS = 10
_PLACEHOLDERS = re.compile(r"secret|password|change.?me|example|default", re.IGNORECASE)
GENERATOR = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


@dataclass(frozen=True)
class Claims:
    """What a valid token of ours says."""

    user: str
    session: UUID


@dataclass(frozen=True)
class Signer:
    """Keys derived from the API's secret, one a purpose. Its repr shows none of them."""

    _secret: bytes

    def __repr__(self) -> str:
        return "Signer(...)"

    @classmethod
    def of(cls, secret: str) -> "Signer":
        """Raises Fatal, saying how to make one, when the secret is missing or could be guessed."""
        why = weakness(secret)
        if why:
            raise Fatal(
                f"SIGNALFLOW_API_SECRET {why}: it signs the tokens of all users. Make one with {GENERATOR} "
                "and give the same one to every API process (`signalflow up` makes its own)"
            )
        return cls(secret.encode())

    def issue(self, kind: Kind, claims: Claims, now: datetime, lifetime: timedelta) -> str:
        """A token of this kind that is valid from now on for its lifetime."""
        return jwt.encode(
            {
                "iss": ISSUER,
                "aud": AUDIENCES[kind],
                "sub": claims.user,
                "sid": str(claims.session),
                "iat": int(now.timestamp()),
                "exp": int((now + lifetime).timestamp()),
                "jti": uuid4().hex,
            },
            self._key(kind),
            ALGORITHM,
        )

    def read(self, kind: Kind, token: str, now: datetime) -> Claims | None:
        """What the token says, or None when it is not a valid one of this kind at this time."""
        try:
            payload = jwt.decode(
                token,
                self._key(kind),
                algorithms=[ALGORITHM],
                audience=AUDIENCES[kind],
                issuer=ISSUER,
                # Times are compared below, with the clock of the project.
                options={
                    "require": ["iss", "aud", "sub", "sid", "iat", "exp", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            issued, expires = float(payload["iat"]), float(payload["exp"])
            claims = Claims(user=payload["sub"], session=UUID(payload["sid"]))
        except (jwt.InvalidTokenError, TypeError, ValueError, AttributeError):
            return None
        leeway, moment = LEEWAY.total_seconds(), now.timestamp()
        return claims if issued - leeway <= moment < expires + leeway else None

    def csrf_token(self, session: UUID) -> str:
        """What our pages send with their writes, and pages of other sites cannot know.

        The same for the whole session.
        """
        return hmac.new(self._key("csrf"), session.bytes, hashlib.sha256).hexdigest()

    def is_csrf_token(self, session: UUID, given: str) -> bool:
        """Whether this is the CSRF token of the session. Takes the same time for every wrong token."""
        return hmac.compare_digest(self.csrf_token(session).encode(), given.encode())

    def _key(self, purpose: str) -> bytes:
        return hmac.new(self._secret, f"signalflow {purpose}".encode(), hashlib.sha256).digest()


def weakness(secret: str) -> str | None:
    """Why a secret could be guessed, as the end of a sentence; None for one that looks like 32 random bytes."""
    if not secret:
        return "is not set"
    if len(secret) < MIN_SECRET_CHARACTERS:
        return f"has {len(secret)} characters, {MIN_SECRET_CHARACTERS} are needed"
    # Of 32 random hexadecimal digits 14 are distinct on average; fewer than 10 come once in 10,000 times or so.
    if len(Counter(secret)) < MIN_DISTINCT_CHARACTERS or secret in (secret + secret)[1:-1]:
        return "repeats itself"
    if _PLACEHOLDERS.search(secret):
        return "looks like a placeholder"
    return None
