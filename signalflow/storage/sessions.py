"""sessions, refresh_tokens and sign_in_links: who has signed in, and what keeps it so. Tokens are stored as hashes only."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from signalflow.storage import audit
from signalflow.storage.pool import Connection, Pool, connection, transaction

Role = Literal["reader", "operator", "admin"]
SessionKind = Literal["token", "browser"]
EndReason = Literal["signed_out", "refresh_reused", "password_changed", "disabled"]

# A few at every sign-in keep the tables small without a job of their own.
_FORGET_SESSIONS = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at < $1::timestamptz - interval '1 day' ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""
_FORGET_LINKS = "DELETE FROM sign_in_links WHERE expires_at < $1"
# A user who was disabled, or whose password was changed, a moment ago gets no session any more: the row is locked against that.
_START = """
INSERT INTO sessions (id, user_name, kind, created_at, expires_at)
SELECT $1, name, $4, $5, $6 FROM users
WHERE name = $2 AND password_hash IS NOT DISTINCT FROM $3 AND disabled_at IS NULL FOR SHARE
"""
_STANDING = """
SELECT users.name, users.role FROM sessions JOIN users ON users.name = sessions.user_name
WHERE sessions.id = $1 AND sessions.ended_at IS NULL AND sessions.expires_at > $2 AND users.disabled_at IS NULL
"""
_END = "UPDATE sessions SET ended_at = $2, ended_because = $3 WHERE id = $1 AND ended_at IS NULL"
_END_ALL = "UPDATE sessions SET ended_at = $2, ended_because = $3 WHERE user_name = $1 AND ended_at IS NULL"
_ADD_REFRESH = "INSERT INTO refresh_tokens (token_hash, session_id, issued_at) VALUES ($1, $2, $3)"
# Locks the token and its session: of two who come with the same token one waits, and then finds it used.
_TAKE_REFRESH = """
SELECT sessions.id, sessions.user_name, refresh_tokens.used_at IS NOT NULL AS used,
    sessions.ended_at IS NULL AND sessions.expires_at > $2 AND users.disabled_at IS NULL AS valid
FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session_id JOIN users ON users.name = sessions.user_name
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
class Standing:
    """Who is behind a session or a key at this moment."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Proven:
    """A user who has shown who he is, and the hash of his password at that moment; None: he has none."""

    name: str
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of a refresh token: a session that goes on, or one that was just ended because the token had been used before."""

    session: UUID
    user: str
    reused: bool


def token_hash(token: str) -> bytes:
    """SHA-256 is enough for what is random; slow hashes are for what people choose."""
    return hashlib.sha256(token.encode()).digest()


async def start_session(
    pool: Pool, user: Proven, kind: SessionKind, now: datetime, expires_at: datetime, refresh_token: str | None = None
) -> UUID | None:
    """A session of the user, with its first refresh token if one is given.

    None when the user is gone or disabled, or has another password by now.
    """
    session = uuid4()
    async with transaction(pool) as writing:
        await writing.execute(_FORGET_SESSIONS, now)
        if await writing.execute(_START, session, user.name, user.password_hash, kind, now, expires_at) != "INSERT 0 1":
            return None
        if refresh_token is not None:
            await writing.execute(_ADD_REFRESH, token_hash(refresh_token), session, now)
    return session


async def session_standing(pool: Pool, session: UUID, now: datetime) -> Standing | None:
    """Who is behind the session; None when it has ended, or its user is disabled."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_STANDING, session, now)
    return Standing(*row) if row else None


async def end_session(pool: Pool, session: UUID, because: EndReason, now: datetime) -> None:
    """End it, if it has not ended; its tokens are void."""
    async with connection(pool) as writing:
        await writing.execute(_END, session, now, because)


async def end_sessions_of(writing: Connection, user: str, because: EndReason, now: datetime) -> None:
    """End all sessions of a user and void the links to new ones, inside the transaction of what makes it necessary."""
    await writing.execute(_END_ALL, user, now, because)
    await writing.execute(_END_LINKS, user)


async def rotate_refresh_token(pool: Pool, old: str, new: str, now: datetime) -> Refreshed | None:
    """Replace a refresh token by the next one of its session. None when it is not valid, or not known.

    A token that was used before ends the session: either the one who uses it now stole it, or the one who did before. Of two at
    once the second finds it used.
    """
    async with transaction(pool) as writing:
        row = await writing.fetchrow(_TAKE_REFRESH, token_hash(old), now)
        if row is None or not row["valid"]:
            return None
        if row["used"]:
            await writing.execute(_END, row["id"], now, "refresh_reused")
        else:
            await writing.execute(_USE_REFRESH, token_hash(old), now)
            await writing.execute(_ADD_REFRESH, token_hash(new), row["id"], now)
        return Refreshed(row["id"], row["user_name"], row["used"])


async def add_link(pool: Pool, user: str, token: str, now: datetime, expires_at: datetime, *, who: str) -> bool:
    """Let the token sign the user in once, until it expires; False when the user is gone or disabled.

    Whoever makes a link can act as the user, so it is in the audit log.
    """
    async with transaction(pool) as writing:
        await writing.execute(_FORGET_LINKS, now)
        added = await writing.execute(_ADD_LINK, token_hash(token), user, expires_at) == "INSERT 0 1"
        if added:
            details = {"expires_at": expires_at.isoformat()}
            await audit.record(writing, who=who, action="user.link", target=user, details=details)
        return added


async def use_link(pool: Pool, token: str, now: datetime) -> Proven | None:
    """The user whom the token signs in, and it never does again; None when it has expired, was used or never was."""
    async with connection(pool) as writing:
        row = await writing.fetchrow(_USE_LINK, token_hash(token), now)
    return Proven(*row) if row else None
