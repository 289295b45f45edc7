"""Table users: who may sign in. Names are lower-case. Users are disabled, never deleted.

The audit log has every change.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from signalflow.domain.words import Role
from signalflow.errors import Invalid
from signalflow.events import storable
from signalflow.storage import audit
from signalflow.storage.pool import Connection, Pool, connection, transaction
from signalflow.storage.sessions import end_sessions_of

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)

_ADD = """
INSERT INTO users (name, role, password_hash, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_LIST = "SELECT name, role, password_hash IS NOT NULL, created_at, disabled_at FROM users ORDER BY name"
_CREDENTIALS = "SELECT password_hash, disabled_at IS NULL FROM users WHERE name = $1"
_PASSWORD = "UPDATE users SET password_hash = $2 WHERE name = $1"  # noqa: S105
_RENEW = "UPDATE users SET password_hash = $3 WHERE name = $1 AND password_hash = $2"
_ROLE = "UPDATE users SET role = $2 WHERE name = $1"
_DISABLE = "UPDATE users SET disabled_at = coalesce(disabled_at, $2) WHERE name = $1"
_ENABLE = "UPDATE users SET disabled_at = NULL WHERE name = $1"


@dataclass(frozen=True, slots=True)
class User:
    """A user, without the password's hash."""

    name: str
    role: Role
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None


def checked_user_name(name: str) -> str:
    """The name in lower case. Raises Invalid, which says what is allowed."""
    lowered = name.strip().lower()
    if not _NAME.fullmatch(lowered):
        raise Invalid("a user name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit", "name")
    return lowered


async def add_user(pool: Pool, name: str, role: Role, password_hash: str | None, *, now: datetime, who: str) -> None:
    """Add a user. Raises Invalid when the name is taken, even by a disabled user."""
    async with transaction(pool) as writing:
        if not await _add(writing, name, role, password_hash, now, who):
            raise Invalid(f"there is a user {name!r} already", field="name")


async def ensure_user(pool: Pool, name: str, role: Role, *, now: datetime, who: str) -> None:
    """Add a user without a password, unless the name is taken: then nothing changes."""
    async with transaction(pool) as writing:
        await _add(writing, name, role, None, now, who)


async def list_users(pool: Pool) -> list[User]:
    """All users, also the disabled ones, by name."""
    async with connection(pool) as reading:
        return [User(*row) for row in await reading.fetch(_LIST)]


async def credentials(pool: Pool, name: str) -> tuple[str | None, bool]:
    """The hash of a user's password (None: no password), and whether the user may sign in.

    (None, False) for an unknown name.
    """
    async with connection(pool) as reading:
        row = await reading.fetchrow(_CREDENTIALS, storable(name))
    return (row[0], row[1]) if row else (None, False)


async def renew_password_hash(pool: Pool, name: str, old: str, new: str) -> bool:
    """Store a new hash of the same password. False, with nothing changed, when `old` is no longer the stored hash."""
    async with connection(pool) as writing:
        return await writing.execute(_RENEW, name, old, new) == "UPDATE 1"


async def set_password(pool: Pool, name: str, password_hash: str, *, now: datetime, who: str) -> None:
    """Change a password, and end all sessions of the user. Raises Invalid when there is no such user."""
    async with transaction(pool) as writing:
        await _change(writing, _PASSWORD, name, password_hash)
        await end_sessions_of(writing, name, "password_changed", now)
        await audit.record(writing, who=who, action="user.passwd", target=name, details={})


async def set_role(pool: Pool, name: str, role: Role, *, who: str) -> None:
    """Change what a user may do. It applies to open sessions at once. Raises Invalid when there is no such user."""
    async with transaction(pool) as writing:
        await _change(writing, _ROLE, name, role)
        await audit.record(writing, who=who, action="user.role", target=name, details={"role": role})


async def disable_user(pool: Pool, name: str, *, now: datetime, who: str) -> None:
    """Refuse a user and the user's API keys from now on, and end the sessions.

    Raises Invalid when there is no such user.
    """
    async with transaction(pool) as writing:
        await _change(writing, _DISABLE, name, now)
        await end_sessions_of(writing, name, "disabled", now)
        await audit.record(writing, who=who, action="user.disable", target=name, details={})


async def enable_user(pool: Pool, name: str, *, who: str) -> None:
    """Let a disabled user sign in again. Earlier sessions stay ended. Raises Invalid when there is no such user."""
    async with transaction(pool) as writing:
        await _change(writing, _ENABLE, name)
        await audit.record(writing, who=who, action="user.enable", target=name, details={})


async def _add(writing: Connection, name: str, role: Role, password_hash: str | None, now: datetime, who: str) -> bool:
    if await writing.execute(_ADD, name, role, password_hash, now) != "INSERT 0 1":
        return False
    await audit.record(writing, who=who, action="user.add", target=name, details={"role": role})
    return True


async def _change(writing: Connection, statement: str, name: str, *values: object) -> None:
    if await writing.execute(statement, name, *values) != "UPDATE 1":
        raise Invalid(f"there is no user {name!r}", field="name")
