"""Alerts that wait for their targets: claimed before they are sent, and recorded after it.

Whoever claims moves `next_at` on, in a transaction of its own, so that nobody else sends meanwhile. If it dies before
it has recorded what became of the message, the message is sent again, with the same id. All times are the database's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from signalflow.alerts.outcome import Result, Verdict
from signalflow.alerts.schedule import GONE_FOR, Standing, next_try
from signalflow.storage.pool import Connection, Pool, connection, transaction

# Longer than a try of any kind takes.
CLAIMED_FOR = timedelta(seconds=60)
# An e-mail shows 50 alerts and counts the others.
MOST_IN_DIGEST = 500
FORGOTTEN_AT_ONCE = 5_000

# A web target gets one message for each alert. An e-mail has all alerts of some time. One that is sent again has the
# alerts that it had, because mail programs know it by its id: all of them have one `next_at`, after their `first_at`.
_MAY_GO = """
d.state = 'waiting' AND d.next_at <= now() AND t.disabled_at IS NULL AND t.shape <> 'feed' AND (
    t.shape <> 'mail' OR d.next_at > d.first_at OR d.first_at <= now() - make_interval(mins => t.digest_minutes))
"""
_DUE = f"""
SELECT t.id FROM alert_deliveries AS d JOIN alert_targets AS t ON t.id = d.target_id
WHERE {_MAY_GO} AND t.id <> ALL ($1::uuid[])
GROUP BY t.id ORDER BY min(d.next_at) LIMIT $2
"""  # noqa: S608, constants
_CLAIM = f"""
WITH first AS (
    SELECT d.id, d.next_at, d.next_at > d.first_at AS again, t.shape
    FROM alert_deliveries AS d JOIN alert_targets AS t ON t.id = d.target_id
    WHERE t.id = $1 AND {_MAY_GO}
    ORDER BY d.next_at, d.id LIMIT 1
), chosen AS (
    SELECT d.id FROM alert_deliveries AS d, first
    WHERE d.target_id = $1 AND d.state = 'waiting' AND d.next_at <= now() AND (
        d.id = first.id OR (first.shape = 'mail' AND CASE WHEN first.again THEN d.next_at = first.next_at
            ELSE d.next_at = d.first_at END))
    ORDER BY d.first_at, d.id LIMIT $3 FOR UPDATE OF d SKIP LOCKED
), claimed AS (
    UPDATE alert_deliveries AS d SET next_at = now() + $2 FROM chosen WHERE d.id = chosen.id
    RETURNING d.id, d.match_id, d.first_at, d.failures
)
SELECT c.id, c.first_at, c.failures, m.alert, now() AS now,
    t.shape, t.address, t.secret, CASE WHEN t.secret_before_until > now() THEN t.secret_before END AS secret_before
FROM claimed AS c JOIN alert_matches AS m ON m.id = c.match_id JOIN alert_targets AS t ON t.id = $1
ORDER BY c.first_at DESC, c.id
"""  # noqa: S608, constants
_STANDING = """
SELECT disabled_at, gone_in_a_row, gone_since, gone_until FROM alert_targets WHERE id = $1 FOR NO KEY UPDATE
"""
# Deliveries are locked in one order, here and where a target is disabled.
_TRIED = """
WITH tried AS (SELECT id FROM alert_deliveries WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE)
INSERT INTO alert_attempts (delivery_id, seconds, verdict, status, reason, answer)
SELECT id, $2, $3, $4, $5, $6 FROM tried
"""
# What was sent is done, although it was given up meanwhile.
_RECORD = """
UPDATE alert_deliveries SET state = $2, failures = $3, next_at = COALESCE($4, next_at),
    ended_at = CASE WHEN $2 = 'waiting' THEN NULL ELSE now() END
WHERE id = ANY ($1::uuid[]) AND (state = 'waiting' OR $2 = 'done')
"""
_NOTE_STANDING = "UPDATE alert_targets SET gone_in_a_row = $2, gone_since = $3, gone_until = $4 WHERE id = $1"
_DISABLE = "UPDATE alert_targets SET disabled_at = now(), disabled_because = $2 WHERE id = $1"
_GIVE_UP = """
WITH waiting AS (
    SELECT id FROM alert_deliveries WHERE target_id = $1 AND state = 'waiting' ORDER BY id FOR UPDATE
)
UPDATE alert_deliveries AS d SET state = 'given_up', ended_at = now() FROM waiting WHERE d.id = waiting.id
"""
_WAITING_SECONDS = """
SELECT greatest(extract(epoch FROM now() - min(
    d.first_at + CASE WHEN t.shape = 'mail' THEN make_interval(mins => t.digest_minutes) ELSE interval '0' END
)), 0)::double precision
FROM alert_deliveries AS d JOIN alert_targets AS t ON t.id = d.target_id
WHERE d.state = 'waiting' AND t.disabled_at IS NULL
"""
_FORGET = """
DELETE FROM alert_matches WHERE id IN (
    SELECT id FROM alert_matches WHERE matched_at < now() - make_interval(days => $1) ORDER BY matched_at, id LIMIT $2
)
"""

State = Literal["waiting", "done", "given_up"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert that waits for a target, with its JSON; `failures`: tries that failed so far."""

    id: UUID
    alert: str = field(repr=False)
    first_at: datetime
    failures: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What one message to a target tells, at `now`, newest first; more than one alert goes by e-mail alone."""

    target: UUID
    shape: str
    address: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    waiting: Sequence[Waiting]
    now: datetime

    @property
    def ids(self) -> list[UUID]:
        """The deliveries."""
        return [each.id for each in self.waiting]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a message; `disabled`: the target got nothing for so long that it gets nothing any more."""

    state: State
    disabled: bool = False


async def due_targets(pool: Pool, besides: Collection[UUID], most: int) -> list[UUID]:
    """Targets with alerts that are due, the longest waiting first, without those `besides`."""
    async with connection(pool) as reading:
        return [row["id"] for row in await reading.fetch(_DUE, list(besides), most)]


async def claim(pool: Pool, target: UUID) -> Claim | None:
    """The next message to a target, which nobody else sends within CLAIMED_FOR; None when none is due."""
    async with transaction(pool) as claiming:
        rows = await claiming.fetch(_CLAIM, target, CLAIMED_FOR, MOST_IN_DIGEST)
    if not rows:
        return None
    first = rows[0]
    return Claim(
        target,
        first["shape"],
        first["address"],
        tuple(filter(None, (first["secret"], first["secret_before"]))),
        [Waiting(row["id"], row["alert"], row["first_at"], row["failures"]) for row in rows],
        first["now"],
    )


async def record(pool: Pool, sent: Claim, result: Result, random: float) -> Recorded:
    """Write what became of a message, with what follows from it for its target.

    `random`: from 0 up to 1, for the next try. To repeat it tells the try twice, and changes nothing else.
    """
    now = sent.now + timedelta(seconds=result.seconds)
    failures = max(each.failures for each in sent.waiting) + (result.verdict is not Verdict.DONE)
    state, next_at = _what_follows(sent, result, now, failures, random)
    async with transaction(pool) as writing:
        target = await writing.fetchrow(_STANDING, sent.target)
        if target is None:
            return Recorded("given_up")
        reason, answer = result.reason, result.answer.replace("\x00", "\ufffd")
        await writing.execute(_TRIED, sent.ids, result.seconds, result.verdict, result.status, reason, answer)
        await writing.execute(_RECORD, sent.ids, state, failures, next_at)
        before = Standing(target["gone_in_a_row"], target["gone_since"], target["gone_until"])
        standing = before.after(result.verdict, now)
        if standing != before:
            since, until = standing.gone_since, standing.gone_until
            await writing.execute(_NOTE_STANDING, sent.target, standing.gone_in_a_row, since, until)
        disabled = standing.is_disabled and target["disabled_at"] is None
        if disabled:
            await _disable(writing, sent.target, standing, result.reason)
    return Recorded(state, disabled)


def _what_follows(
    sent: Claim, result: Result, now: datetime, failures: int, random: float
) -> tuple[State, datetime | None]:
    """The state of the deliveries, and when they are tried again."""
    if result.verdict is Verdict.DONE:
        return "done", None
    first = min(each.first_at for each in sent.waiting)
    if result.verdict is Verdict.GIVE_UP or not (at := next_try(first, now, failures, random, result.retry_after)):
        return "given_up", None
    return "waiting", at


async def _disable(writing: Connection, target: UUID, standing: Standing, reason: str) -> None:
    """The version of the rules stays: writers read targets with each match.

    Whoever changes rules locks the version before targets, so a lock in the other order could wait in a circle.
    """
    because = f"nobody was there {standing.gone_in_a_row} times in a row, for more than {GONE_FOR}: {reason}"
    await writing.execute(_DISABLE, target, because)
    await writing.execute(_GIVE_UP, target)


async def alerts_waiting_seconds(pool: Pool) -> float:
    """Seconds since the oldest alert that waits was due for its first try; 0 when none waits."""
    async with connection(pool) as reading:
        found: float | None = await reading.fetchval(_WAITING_SECONDS)
        return found or 0.0


async def forget_alerts(pool: Pool, days: int) -> int:
    """Delete what rules met more than so many days ago, with its deliveries; returns how many matches."""
    deleted = 0
    while True:
        async with connection(pool) as writing:
            some = int((await writing.execute(_FORGET, days, FORGOTTEN_AT_ONCE)).rpartition(" ")[2])
        deleted += some
        if some < FORGOTTEN_AT_ONCE:
            return deleted
