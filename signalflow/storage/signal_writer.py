"""Writes signals, whose rows do not depend on redelivery, disorder or the split into batches.

Of the records of a signal the one whose observation is the newest counts; of several of one observation time, the one
that was made from the later record of signal inputs.
"""

import json
from collections.abc import Sequence
from typing import Any

from signalflow.events import storable
from signalflow.fail_points import reach
from signalflow.signal_events import Signal
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.pool import Pool, connection, transaction
from signalflow.storage.positions import Advances, advance

_COLUMNS = (
    "id", "kind", "rule_version", "subject_kind", "subject", "subreddit", "started_at", "peak_at", "ended_at",
    "changed_at", "strength", "observed", "expected", "post_ids", "inputs", "source_topic", "source_partition",
    "source_offset",
)  # fmt: skip
_STORE = f"""
INSERT INTO signals AS s ({", ".join(_COLUMNS)})
VALUES ({", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS[1:])}
WHERE (EXCLUDED.changed_at, EXCLUDED.source_offset) > (s.changed_at, s.source_offset)
"""  # noqa: S608, names of columns
_IS_STORED = "SELECT EXISTS (SELECT FROM signals WHERE id = $1 AND (changed_at, source_offset) >= ($2, $3))"
_FORGET = "DELETE FROM signals WHERE changed_at < now() - make_interval(days => $1)"


async def write_signals(
    pool: Pool, rows: Sequence[Signal], advances: Advances | None = None, alerts: AlertMatches | None = None
) -> None:
    """Store signals, given in log order, in one transaction, which also advances the positions of their records.

    It stores what rules of `alerts` meet with these signals, too.

    Raises Retryable (try the same rows again), Invalid (the values of at least one row are refused), StoredBehind or
    Fatal.
    """
    if not rows and advances is None:
        return
    # All writers lock signals in the same order, so none waits for another in a circle.
    values = [_values(row) for row in sorted(rows, key=lambda row: row.id)]
    async with transaction(pool) as storing:
        if advances is not None:
            await advance(storing, advances)
        if values:
            await storing.executemany(_STORE, values)
        if rows and alerts:
            await alerts.write(storing, rows)
        reach("signal_sink.before_commit")
    reach("signal_sink.after_commit")


async def signal_is_stored(pool: Pool, row: Signal) -> bool:
    """Whether the table has this record of a signal or a newer one."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval(_IS_STORED, row.id, row.changed_at, row.source.offset))


async def forget_signals(pool: Pool, days: int) -> None:
    """Remove the signals that last changed more than `days` days ago."""
    async with connection(pool) as deleting:
        await deleting.execute(_FORGET, days)


def _values(row: Signal) -> list[Any]:
    return [
        storable(row.id), row.kind, row.rule_version, row.subject_kind, storable(row.subject), row.subreddit,
        row.started_at, row.peak_at, row.ended_at, row.changed_at, row.strength, row.observed, row.expected,
        row.post_ids, json.dumps(row.inputs), storable(row.source.topic), row.source.partition, row.source.offset,
    ]  # fmt: skip
