"""What rules met, and the messages that went out for it: pages of them, newest first, and sending one again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson

from signalflow.alerts.messages import Alert
from signalflow.domain.words import AlertKind, DeliveryState, TargetShape
from signalflow.errors import Invalid
from signalflow.storage import audit
from signalflow.storage.pool import Pool, transaction, values_of
from signalflow.storage.read_router import ReadRouter, Row

# What a feed reader shows of a feed that it has not seen for a while.
MOST_IN_FEED = 50

# What was met when a rule was saved was never told.
_MATCHES = """
SELECT m.id, m.rule_id, r.name AS rule, m.kind, m.subject, m.alert::text AS alert, m.matched_at
FROM alert_matches AS m JOIN alert_rules AS r ON r.id = m.rule_id
WHERE {conditions} ORDER BY m.matched_at DESC, m.id DESC LIMIT {limit}
"""
_DELIVERIES = """
SELECT d.id, d.match_id, m.rule_id, r.name AS rule, d.target_id, t.name AS target, t.shape, m.kind, m.subject,
    m.alert::text AS alert, d.state, d.first_at, d.next_at, d.failures, d.ended_at
FROM alert_deliveries AS d JOIN alert_matches AS m ON m.id = d.match_id JOIN alert_rules AS r ON r.id = m.rule_id
JOIN alert_targets AS t ON t.id = d.target_id
WHERE {conditions} ORDER BY d.first_at DESC, d.id DESC LIMIT {limit}
"""
_ATTEMPTS = """
SELECT delivery_id, at, seconds, verdict, status, reason, answer FROM alert_attempts
WHERE delivery_id = ANY ($1::uuid[]) ORDER BY delivery_id, id
"""
# The day in which it is tried begins anew.
_AGAIN = """
UPDATE alert_deliveries SET state = 'waiting', first_at = now(), next_at = now(), failures = 0, ended_at = NULL
WHERE id = $1
"""
_WHAT_IS = """
SELECT d.state, t.name, t.disabled_at IS NOT NULL AS is_disabled
FROM alert_deliveries AS d JOIN alert_targets AS t ON t.id = d.target_id WHERE d.id = $1 FOR UPDATE OF d
"""
_FEED = "SELECT name, created_at FROM alert_targets WHERE id = $1"
_IN_FEED = """
SELECT m.alert::text AS alert FROM alert_matches AS m JOIN alert_rule_targets AS o ON o.rule_id = m.rule_id
WHERE o.target_id = $1 AND m.alert IS NOT NULL ORDER BY m.matched_at DESC, m.id DESC LIMIT $2
"""

# Time and id of the last match or delivery of a page.
HistoryKey = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class AlertMatch:
    """Something new that met a rule. `alert` is what is told of it, as JSON."""

    id: UUID
    rule_id: UUID
    rule: str
    kind: AlertKind
    subject: str
    alert: dict[str, Any]
    matched_at: datetime

    @property
    def key(self) -> HistoryKey:
        """Its place in a list."""
        return self.matched_at, self.id


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to send a message. `answer`: the first 2 kB of what the other side said, which may be anything."""

    at: datetime
    seconds: float
    verdict: str
    status: int | None
    reason: str
    answer: str


@dataclass(frozen=True, slots=True)
class AlertDelivery:
    """A message to one target. `alert` is what its body is made of, as JSON. Attempts: oldest first."""

    id: UUID
    match_id: UUID
    rule_id: UUID
    rule: str
    target_id: UUID
    target: str
    shape: TargetShape
    kind: AlertKind
    subject: str
    alert: dict[str, Any]
    state: DeliveryState
    first_at: datetime
    next_at: datetime
    failures: int
    ended_at: datetime | None
    attempts: list[Attempt]

    @property
    def key(self) -> HistoryKey:
        """Its place in a list."""
        return self.first_at, self.id


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are wanted: those that meet all that is given. `id`: this one alone."""

    id: UUID | None = None
    rule_id: UUID | None = None
    target_id: UUID | None = None
    state: DeliveryState | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed shows, newest first."""

    name: str
    created_at: datetime
    alerts: list[Alert]


async def matches_page(
    reads: ReadRouter, *, rule_id: UUID | None, before: HistoryKey | None, limit: int
) -> list[AlertMatch]:
    """The newest matches, or the newest before this time and id."""
    parameters, bound = _binding()
    conditions = ["m.alert IS NOT NULL"]
    if rule_id is not None:
        conditions.append(f"m.rule_id = {bound(rule_id)}")
    if before is not None:
        conditions.append(f"(m.matched_at, m.id) < ({bound(before[0])}::timestamptz, {bound(before[1])}::uuid)")
    statement = _MATCHES.format(conditions=" AND ".join(conditions), limit=bound(limit))
    rows = await reads.fetch(statement, *parameters, from_primary=True)
    return [AlertMatch(**_with_alert(row)) for row in rows]


async def deliveries_page(
    reads: ReadRouter, wanted: DeliveryFilter, *, before: HistoryKey | None, limit: int
) -> list[AlertDelivery]:
    """The newest deliveries with their attempts, or the newest before this time and id."""
    parameters, bound = _binding()
    conditions = [
        f"{column} = {bound(value)}"
        for column, value in (
            ("d.id", wanted.id),
            ("m.rule_id", wanted.rule_id),
            ("d.target_id", wanted.target_id),
            ("d.state", wanted.state),
        )
        if value is not None
    ]
    if before is not None:
        conditions.append(f"(d.first_at, d.id) < ({bound(before[0])}::timestamptz, {bound(before[1])}::uuid)")
    statement = _DELIVERIES.format(conditions=" AND ".join(conditions) or "true", limit=bound(limit))
    # From the primary: who sends a message again looks at it right after.
    rows = await reads.fetch(statement, *parameters, from_primary=True)
    attempts = await _attempts_of(reads, [row["id"] for row in rows])
    return [AlertDelivery(**_with_alert(row), attempts=attempts[row["id"]]) for row in rows]


async def redeliver(pool: Pool, id_: UUID, *, by: str) -> bool:
    """Let a message that was delivered or given up wait again, under the same id. Returns whether there is one.

    Raises Invalid when it waits already, or its target is disabled.
    """
    async with transaction(pool) as writing:
        row = await writing.fetchrow(_WHAT_IS, id_)
        if row is None:
            return False
        if row["state"] == "waiting":
            raise Invalid("it waits already: it is sent at its time", field="id")
        if row["is_disabled"]:
            raise Invalid(f"its target {row['name']!r} is disabled: enable the target first", field="id")
        await writing.execute(_AGAIN, id_)
        details = {"target": row["name"], "state": row["state"]}
        await audit.record(writing, who=by, action="alert_delivery.redeliver", target=str(id_), details=details)
    return True


async def feed_of(reads: ReadRouter, id_: UUID) -> Feed | None:
    """What the feed of a target shows; None when there is no such target."""
    rows = await reads.fetch(_FEED, id_)
    if not rows:
        return None
    alerts = [msgspec.json.decode(row["alert"], type=Alert) for row in await reads.fetch(_IN_FEED, id_, MOST_IN_FEED)]
    return Feed(rows[0]["name"], rows[0]["created_at"], alerts)


async def _attempts_of(reads: ReadRouter, ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    attempts: dict[UUID, list[Attempt]] = {id_: [] for id_ in ids}
    for row in await reads.fetch(_ATTEMPTS, ids, from_primary=True):
        delivery_id, *values = row
        attempts[delivery_id].append(Attempt(*values))
    return attempts


def _with_alert(row: Row) -> dict[str, Any]:
    return values_of(row) | {"alert": orjson.loads(row["alert"])}


def _binding() -> tuple[list[Any], Callable[[object], str]]:
    parameters: list[Any] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    return parameters, bound
