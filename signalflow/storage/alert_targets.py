"""Table alert_targets: where alerts go.

Addresses are often secrets, and so are the links of feeds: they are told to nobody again. What is read back has scheme
and host alone; of an e-mail target its address.
"""

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from signalflow.alert_settings import is_mail_address
from signalflow.alerts.posting import shown, target_url
from signalflow.alerts.signing import SigningSecret
from signalflow.domain.words import TargetShape
from signalflow.errors import Invalid
from signalflow.events import storable
from signalflow.storage import audit
from signalflow.storage.pool import Connection, Pool, connection, transaction, values_of
from signalflow.storage.sessions import token_hash

MOST_TARGETS = 100
# Of a rule or a target: each alert tells that of its rule.
LONGEST_NAME = 100
# Both secrets sign for so long after a rotation, so that a receiver can be told the new one at leisure.
ROTATION = timedelta(days=1)

# The row stays locked, so those who change rules or targets do so one after the other, and limits hold.
_CHANGED = "UPDATE alert_rules_version SET version = version + 1"
_COLUMNS = """t.id, t.name, t.shape, t.address, t.digest_minutes, t.created_at, t.disabled_at, t.disabled_because,
    t.secret_before_until, (SELECT count(*) FROM alert_rule_targets WHERE target_id = t.id) AS rules"""
_LIST = f"SELECT {_COLUMNS} FROM alert_targets AS t ORDER BY t.created_at, t.id"  # noqa: S608, constants
_ONE = f"SELECT {_COLUMNS} FROM alert_targets AS t WHERE t.id = $1"  # noqa: S608, as above
_ADD = """
INSERT INTO alert_targets (id, name, shape, address, secret, token_hash, digest_minutes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_CHANGE = "UPDATE alert_targets SET name = $2, digest_minutes = $3, address = $4 WHERE id = $1"
_ENABLE = """
UPDATE alert_targets SET disabled_at = NULL, disabled_because = NULL,
    gone_in_a_row = 0, gone_since = NULL, gone_until = NULL
WHERE id = $1
"""
_REMOVE = "DELETE FROM alert_targets WHERE id = $1"
_ROTATE = """
UPDATE alert_targets SET secret = $2, secret_before = secret, secret_before_until = now() + $3::interval WHERE id = $1
"""
_RELINK = "UPDATE alert_targets SET token_hash = $2 WHERE id = $1"
_SENT_TO = """
SELECT shape, address, array_remove(ARRAY[secret, CASE WHEN secret_before_until > $2 THEN secret_before END], NULL)
FROM alert_targets WHERE id = $1
"""
_TOKEN = "SELECT token_hash FROM alert_targets WHERE id = $1 AND disabled_at IS NULL"  # noqa: S105, a statement


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """A target as it may be shown.

    `place`: scheme and host of a URL, or the address of e-mail; None of a feed. `rules`: how many have it.
    """

    id: UUID
    name: str
    shape: TargetShape
    place: str | None
    digest_minutes: int
    created_at: datetime
    disabled_at: datetime | None
    disabled_because: str | None
    secret_before_until: datetime | None
    rules: int


@dataclass(frozen=True, slots=True)
class TargetChange:
    """A change of a target; a field that is None stays as it is."""

    name: str | None = None
    address: str | None = field(default=None, repr=False)
    digest_minutes: int | None = None
    enable: bool = False


@dataclass(frozen=True, slots=True)
class MadeTarget:
    """A target with what its owner sees only now: the signing secret of JSON, or the path of a feed."""

    target: AlertTarget
    secret: str | None = field(default=None, repr=False)
    path: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SendTo:
    """Where messages of a target go, and the secrets that sign them now."""

    shape: TargetShape
    address: str | None = field(repr=False)
    secrets: list[str] = field(repr=False)


@asynccontextmanager
async def changing(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that changes rules, targets, or which belong together. Writers of posts load the rules again."""
    async with transaction(pool) as writing:
        await writing.execute(_CHANGED)
        yield writing


def checked_name(text: str) -> str:
    """The name of a rule or a target. Raises Invalid for one that is empty or too long."""
    if not text.strip() or len(text) > LONGEST_NAME:
        raise Invalid(f"a name has 1 to {LONGEST_NAME} characters", field="name")
    return storable(text)


def checked_address(shape: TargetShape, address: str | None) -> str | None:
    """The address of a target of this shape. Raises Invalid, which does not show it."""
    if shape == "feed":
        if address:
            raise Invalid("a feed has no address: its link is made here", field="address")
        return None
    if not address:
        raise Invalid("give the address: a URL, or an address of e-mail for mail", field="address")
    if shape == "mail":
        if not is_mail_address(address):
            raise Invalid("write one address of e-mail without a name, such as you@example.org", field="address")
        return address
    try:
        return str(target_url(address))
    except Invalid as error:
        raise Invalid(str(error), field="address") from None


def feed_path(id_: UUID, token: str) -> str:
    """The path of a feed in the API."""
    return f"/api/alerts/feeds/{id_}/{token}/"


async def list_targets(pool: Pool) -> list[AlertTarget]:
    """All targets, oldest first."""
    async with connection(pool) as reading:
        return [_target(row) for row in await reading.fetch(_LIST)]


async def one_target(pool: Pool, id_: UUID) -> AlertTarget | None:
    """The target with this id, if there is one."""
    async with connection(pool) as reading:
        return await _found(reading, id_)


async def add_target(
    pool: Pool, name: str, shape: TargetShape, address: str | None, digest_minutes: int, *, by: str
) -> MadeTarget:
    """Make a target.

    Raises Invalid for a name or an address that cannot be one, and when there are MOST_TARGETS.
    """
    name, address = checked_name(name), checked_address(shape, address)
    id_, secret, token = uuid4(), None, None
    if shape == "json":
        secret = SigningSecret.new().told()
    if shape == "feed":
        token = secrets.token_urlsafe(32)
    async with changing(pool) as writing:
        if await writing.fetchval("SELECT count(*) FROM alert_targets") >= MOST_TARGETS:
            raise Invalid(f"there are {MOST_TARGETS} targets, as many as may be: remove one", field="name")
        hashed = None if token is None else token_hash(token)
        await writing.execute(_ADD, id_, name, shape, address, secret, hashed, digest_minutes)
        target = await _found(writing, id_)
        assert target is not None
        await _record(writing, "alert_target.add", target, by)
    return MadeTarget(target, secret, None if token is None else feed_path(id_, token))


async def change_target(pool: Pool, id_: UUID, change: TargetChange, *, by: str) -> AlertTarget | None:
    """Change a target; None when there is none. Raises Invalid for a name or an address that cannot be one."""
    async with changing(pool) as writing:
        before = await _found(writing, id_)
        if before is None:
            return None
        address = await writing.fetchval("SELECT address FROM alert_targets WHERE id = $1", id_)
        if change.address is not None:
            address = checked_address(before.shape, change.address)
        name = before.name if change.name is None else checked_name(change.name)
        minutes = before.digest_minutes if change.digest_minutes is None else change.digest_minutes
        await writing.execute(_CHANGE, id_, name, minutes, address)
        if change.enable:
            await writing.execute(_ENABLE, id_)
        after = await _found(writing, id_)
        assert after is not None
        await _record(writing, "alert_target.change", after, by, enabled=change.enable)
    return after


async def remove_target(pool: Pool, id_: UUID, *, by: str) -> bool:
    """Remove a target with its deliveries. Rules stay. Returns whether there was one."""
    async with changing(pool) as writing:
        target = await _found(writing, id_)
        if target is None:
            return False
        await writing.execute(_REMOVE, id_)
        await _record(writing, "alert_target.remove", target, by)
    return True


async def rotate_secret(pool: Pool, id_: UUID, *, by: str) -> MadeTarget | None:
    """Give a target a new signing secret, or a feed a new link; None when there is no such target.

    The signing secret of before signs too for ROTATION; the link of before leads nowhere at once. Raises Invalid for a
    target without a secret of ours.
    """
    secret = path = None
    async with changing(pool) as writing:
        target = await _found(writing, id_)
        if target is None:
            return None
        if target.shape == "json":
            secret = SigningSecret.new().told()
            await writing.execute(_ROTATE, id_, secret, ROTATION)
        elif target.shape == "feed":
            token = secrets.token_urlsafe(32)
            path = feed_path(id_, token)
            await writing.execute(_RELINK, id_, token_hash(token))
        else:
            raise Invalid(f"a target of shape {target.shape} has no secret of ours: change its address", field="id")
        after = await _found(writing, id_)
        assert after is not None
        await _record(writing, "alert_target.rotate", after, by)
    return MadeTarget(after, secret, path)


async def sent_to(pool: Pool, id_: UUID, now: datetime) -> SendTo | None:
    """Where messages of a target go; None when there is none."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_SENT_TO, id_, now)
    return None if row is None else SendTo(*row)


async def is_feed_token(pool: Pool, id_: UUID, token: str) -> bool:
    """Whether this is the secret part of the link of a feed that is enabled."""
    async with connection(pool) as reading:
        stored = await reading.fetchval(_TOKEN, id_)
    # The comparison takes as long for what is no feed.
    return hmac.compare_digest(stored or token_hash(""), token_hash(token)) and stored is not None


async def _found(reading: Connection, id_: UUID) -> AlertTarget | None:
    row = await reading.fetchrow(_ONE, id_)
    return None if row is None else _target(row)


def _target(row: Any) -> AlertTarget:
    values = values_of(row)
    address = values.pop("address")
    is_web = values["shape"] in ("json", "slack", "discord")
    return AlertTarget(place=shown(target_url(address)) if is_web else address, **values)


async def _record(writing: Connection, action: str, target: AlertTarget, by: str, **more: Any) -> None:
    details = {"name": target.name, "shape": target.shape, "place": target.place} | more
    await audit.record(writing, who=by, action=action, target=str(target.id), details=details)
