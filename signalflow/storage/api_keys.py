"""Table api_keys: what programs sign in with.

A key is `sfk_<prefix>_<random>`: the prefix finds the row, a hash proves it.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.domain.words import KeyScope, Role
from signalflow.errors import Invalid
from signalflow.storage import audit
from signalflow.storage.pool import Pool, connection, transaction
from signalflow.storage.sessions import token_hash

KEY_MARK = "sfk_"
# The last use of a key is written at most this often.
LAST_USE_PRECISION = timedelta(minutes=1)
_KEY = re.compile(r"sfk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)

_ADD = """
INSERT INTO api_keys (prefix, key_hash, user_name, label, scopes, created_at, expires_at)
SELECT $1, $2, name, $4, $5::text[], $6, $7 FROM users WHERE name = $3 AND disabled_at IS NULL
"""
_IDENTITY = """
SELECT key_hash, users.name, users.role, scopes, expires_at, last_used_at
FROM api_keys JOIN users ON users.name = api_keys.user_name
WHERE prefix = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) AND users.disabled_at IS NULL
"""
# Several processes may use a key at the same time: one of them writes.
_USED = "UPDATE api_keys SET last_used_at = $2 WHERE prefix = $1 AND (last_used_at IS NULL OR last_used_at <= $3)"
_LIST = """
SELECT prefix, user_name, label, scopes, created_at, expires_at, revoked_at, last_used_at FROM api_keys
WHERE $1::text IS NULL OR user_name = $1 ORDER BY created_at, prefix
"""
_REVOKE = "UPDATE api_keys SET revoked_at = $2 WHERE prefix = $1 AND revoked_at IS NULL RETURNING user_name"


@dataclass(frozen=True, slots=True)
class KeyIdentity:
    """The user of an API key, and what the key may be used for."""

    name: str
    role: Role
    scopes: frozenset[KeyScope]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret, which only the owner has."""

    prefix: str
    user: str
    label: str
    scopes: list[KeyScope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def new_key() -> str:
    """A key of 256 random bits."""
    return f"{KEY_MARK}{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"


def key_prefix(key: str) -> str | None:
    """The public part of a key; None for a text that is no key."""
    match = _KEY.fullmatch(key)
    return match[1] if match else None


async def add_key(
    pool: Pool,
    key: str,
    *,
    user: str,
    label: str,
    scopes: list[KeyScope],
    expires_at: datetime | None,
    now: datetime,
    who: str,
) -> None:
    """Store a new key. Raises Invalid when there is no such user, or the user is disabled."""
    prefix = key_prefix(key)
    assert prefix is not None
    async with transaction(pool) as writing:
        values = (prefix, token_hash(key), user, label, scopes, now, expires_at)
        if await writing.execute(_ADD, *values) != "INSERT 0 1":
            raise Invalid(f"there is no user {user!r} who may sign in", field="user")
        details = {"label": label, "scopes": scopes, "expires_at": expires_at and expires_at.isoformat(), "user": user}
        await audit.record(writing, who=who, action="key.create", target=prefix, details=details)


async def identity_of_key(pool: Pool, key: str, now: datetime) -> KeyIdentity | None:
    """The user of a key. None when the key is wrong, expired or revoked, or the user is disabled.

    Records the use, to the minute.
    """
    prefix = key_prefix(key)
    if prefix is None:
        return None
    async with connection(pool) as reading:
        row = await reading.fetchrow(_IDENTITY, prefix, now)
        if row is None or not hmac.compare_digest(row["key_hash"], token_hash(key)):
            return None
        if row["last_used_at"] is None or row["last_used_at"] <= now - LAST_USE_PRECISION:
            await reading.execute(_USED, prefix, now, now - LAST_USE_PRECISION)
    return KeyIdentity(row["name"], row["role"], frozenset(row["scopes"]), row["expires_at"])


async def list_keys(pool: Pool, user: str | None = None) -> list[ApiKey]:
    """All keys, or the keys of one user, oldest first."""
    async with connection(pool) as reading:
        return [ApiKey(*row) for row in await reading.fetch(_LIST, user)]


async def revoke_key(pool: Pool, prefix: str, *, now: datetime, who: str) -> None:
    """Revoke a key. Raises Invalid when it does not exist or is revoked already."""
    async with transaction(pool) as writing:
        user = await writing.fetchval(_REVOKE, prefix, now)
        if user is None:
            raise Invalid(f"the key {prefix!r} does not exist or is revoked", field="prefix")
        await audit.record(writing, who=who, action="key.revoke", target=prefix, details={"user": user})
