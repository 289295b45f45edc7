"""Tables sessions, refresh_tokens and sign_in_links: who has signed in, and the tokens of sessions.

Tokens are stored as hashes only.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from signalflow.domain.words import Role
from signalflow.storage import audit
from signalflow.storage.pool import Connection, Pool, connection, transaction

SessionKind = Literal["token", "browser"]
EndReason = Literal["signed_out", "refresh_reused", "password_changed", "disabled"]

# Each sign-in deletes some old rows, so no job is needed to keep the tables small.
_FORGET_SESSIONS = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at < $1::timestamptz - interval '1 day'
    ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""
_FORGET_LINKS = "DELETE FROM sign_in_links WHERE expires_at < $1"
# Locks the row of the user: if another transaction disables the user or changes the password, no session is created.
_START = """
INSERT INTO sessions (id, user_name, kind, created_at, expires_at)
SELECT $1, name, $4, $5, $6 FROM users
WHERE name = $2 AND password_hash IS NOT DISTINCT FROM $3 AND disabled_at IS NULL FOR SHARE
"""
_IDENTITY = """
SELECT users.name, users.role FROM sessions JOIN users ON users.name = sessions.user_name
WHERE sessions.id = $1 AND sessions.ended_at IS NULL AND sessions.expires_at > $2 AND users.disabled_at IS NULL
"""
_END = "UPDATE sessions SET ended_at = $2, ended_because = $3 WHERE id = $1 AND ended_at IS NULL"
_END_ALL = "UPDATE sessions SET ended_at = $2, ended_because = $3 WHERE user_name = $1 AND ended_at IS NULL"
_ADD_REFRESH = "INSERT INTO refresh_tokens (token_hash, session_id, issued_at) VALUES ($1, $2, $3)"
# Locks the token and its session. When two requests bring the same token, the second waits for the first. Then it finds
# that the token was used.
_TAKE_REFRESH = """
SELECT sessions.id, sessions.user_name, issued_at, used_at,
    sessions.ended_at IS NULL AND sessions.expires_at > $2 AND users.disabled_at IS NULL AS valid
FROM refresh_tokens
    JOIN sessions ON sessions.id = refresh_tokens.session_id JOIN users ON users.name = sessions.user_name
WHERE token_hash = $1 FOR UPDATE OF refresh_tokens, sessions
"""
_USE_REFRESH = "UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1"
_ADD_LINK = """
INSERT INTO sign_in_links (token_hash, user_name, expires_at)
SELECT $1, name, $3 FROM users WHERE name = $2 AND disabled_at IS NULL
"""
_END_LINKS = "DELETE FROM sign_in_links WHERE user_name = $1"
_USE_LINK = """
DELETE FROM sign_in_links USING users WHERE token_hash = $1 AND expires_at > $2 AND users.name = user_name
RETURNING users.name, users.password_hash
"""


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """The user of a session."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class ProvenUser:
    """A user who has proven his identity, and the hash of his password at that moment (None: no password)."""

    name: str
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The session of a refresh token.

    `used_at`: when the token had been used before, which ended the session just now; None for a first use.
    """

    session: UUID
    user: str
    issued_at: datetime
    used_at: datetime | None


def token_hash(token: str) -> bytes:
    """The hash of a random token. SHA-256 is enough: slow hashes are for passwords that people choose."""
    return hashlib.sha256(token.encode()).digest()


async def start_session(
    pool: Pool,
    user: ProvenUser,
    kind: SessionKind,
    now: datetime,
    expires_at: datetime,
    refresh_token: str | None = None,
) -> UUID | None:
    """Start a session of the user, with its first refresh token if one is given, and return its id.

    None when the user is unknown or disabled, or has changed the password meanwhile.
    """
    session = uuid4()
    async with transaction(pool) as writing:
        await writing.execute(_FORGET_SESSIONS, now)
        if await writing.execute(_START, session, user.name, user.password_hash, kind, now, expires_at) != "INSERT 0 1":
            return None
        if refresh_token is not None:
            await writing.execute(_ADD_REFRESH, token_hash(refresh_token), session, now)
    return session


async def identity_of_session(pool: Pool, session: UUID, now: datetime) -> SessionIdentity | None:
    """The user of a session. None when the session has ended, or the user is disabled."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_IDENTITY, session, now)
    return SessionIdentity(*row) if row else None


async def end_session(pool: Pool, session: UUID, because: EndReason, now: datetime) -> None:
    """End a session and make its tokens invalid. Does nothing when it has ended."""
    async with connection(pool) as writing:
        await writing.execute(_END, session, now, because)


async def end_sessions_of(writing: Connection, user: str, because: EndReason, now: datetime) -> None:
    """End all sessions of a user and delete the sign-in links, in the transaction of the change that requires it."""
    await writing.execute(_END_ALL, user, now, because)
    await writing.execute(_END_LINKS, user)


async def rotate_refresh_token(pool: Pool, old: str, new: str, now: datetime) -> Refreshed | None:
    """Replace a refresh token by the next one of its session. None when it is invalid or unknown.

    A token that is used twice ends its session: one of the two users has stolen it. When two requests bring the same
    token at the same time, the second one counts as a second use.
    """
    async with transaction(pool) as writing:
        row = await writing.fetchrow(_TAKE_REFRESH, token_hash(old), now)
        if row is None or not row["valid"]:
            return None
        if row["used_at"] is not None:
            await writing.execute(_END, row["id"], now, "refresh_reused")
        else:
            await writing.execute(_USE_REFRESH, token_hash(old), now)
            await writing.execute(_ADD_REFRESH, token_hash(new), row["id"], now)
        return Refreshed(row["id"], row["user_name"], row["issued_at"], row["used_at"])


async def add_link(pool: Pool, user: str, token: str, now: datetime, expires_at: datetime, *, who: str) -> bool:
    """Add a token that signs the user in once, until it expires. False when the user is unknown or disabled.

    Whoever makes a link can act as the user, so the audit log records it.
    """
    async with transaction(pool) as writing:
        await writing.execute(_FORGET_LINKS, now)
        added = await writing.execute(_ADD_LINK, token_hash(token), user, expires_at) == "INSERT 0 1"
        if added:
            details = {"expires_at": expires_at.isoformat()}
            await audit.record(writing, who=who, action="user.link", target=user, details=details)
        return added


async def use_link(pool: Pool, token: str, now: datetime) -> ProvenUser | None:
    """The user whom the token signs in. The token is used up.

    None when it has expired, was used before or is unknown.
    """
    async with connection(pool) as writing:
        row = await writing.fetchrow(_USE_LINK, token_hash(token), now)
    return ProvenUser(*row) if row else None
