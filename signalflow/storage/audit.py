"""Table audit_log: who changed what, and when."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from signalflow.clock import utcnow
from signalflow.events import storable
from signalflow.storage.pool import Connection, Pool, connection

_RECORD = "INSERT INTO audit_log (at, who, action, target, details) VALUES ($1, $2, $3, $4, $5::jsonb)"
_PAGE = """
SELECT id, at, who, action, target, details::text AS details FROM audit_log
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR who = $2) AND ($3::text IS NULL OR action = $3)
ORDER BY id DESC LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: `action` was done to `target` by `who`."""

    id: int
    at: datetime
    who: str
    action: str
    target: str
    details: dict[str, Any]


async def record(
    connection_or_pool: "Connection | Pool", *, who: str, action: str, target: str, details: Mapping[str, Any]
) -> None:
    """Record a change. Give the connection of the change's own transaction, so that both are committed or neither.

    `who` is the name of the user, or `cli:<account of the system>`. `action` is `<thing>.<verb>` (`user.add`,
    `dlq.replay`, `subreddit.change`). `details` must be JSON and must hold no secret.
    """
    values = (utcnow(), who, action, target, json.dumps(dict(details)))
    if isinstance(connection_or_pool, asyncpg.Pool):
        async with connection(connection_or_pool) as writing:
            await writing.execute(_RECORD, *values)
    else:
        await connection_or_pool.execute(_RECORD, *values)


async def audit_page(
    pool: Pool, *, before: int | None, limit: int, who: str | None = None, action: str | None = None
) -> list[AuditEntry]:
    """The newest entries, or the newest with an id below `before`."""
    # PostgreSQL refuses a parameter with NUL. No column holds NUL, so no row is missed when it is replaced.
    texts = [None if text is None else storable(text) for text in (who, action)]
    async with connection(pool) as reading:
        rows = await reading.fetch(_PAGE, before, *texts, limit)
    return [AuditEntry(**(dict(row) | {"details": json.loads(row["details"])})) for row in rows]
