"""Table workers: which workers live, and the URLs of their web views.

Times are the database's, since workers' clocks may differ.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.storage.pool import Pool, connection

# How often a worker reports, in seconds.
HEARTBEAT_SECONDS = 5.0
# A worker whose last report is older is silent: three reports in a row are missing.
SILENT_AFTER = timedelta(seconds=3 * HEARTBEAT_SECONDS)

_HEARTBEAT = """
INSERT INTO workers AS w (name, pid, web_url, state, is_poller, is_leader, can_poll) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) DO UPDATE SET
    pid = EXCLUDED.pid, web_url = EXCLUDED.web_url, state = EXCLUDED.state, is_poller = EXCLUDED.is_poller,
    is_leader = EXCLUDED.is_leader, can_poll = EXCLUDED.can_poll,
    started_at = CASE WHEN w.pid = EXCLUDED.pid THEN w.started_at ELSE EXCLUDED.started_at END,
    heartbeat_at = EXCLUDED.heartbeat_at
"""
_LIVE = """
SELECT name, pid, web_url, state, is_poller, is_leader, started_at, heartbeat_at,
    greatest(extract(epoch FROM now() - heartbeat_at), 0)::double precision
FROM workers WHERE heartbeat_at > now() - $1::interval ORDER BY name
"""
_LEADER_CANNOT_POLL = """
SELECT coalesce(bool_or(is_leader) AND NOT bool_or(is_leader AND can_poll), false) FROM workers
WHERE heartbeat_at > now() - $1::interval
"""
_ANOTHER_LEADS = """
SELECT EXISTS (SELECT FROM workers WHERE is_leader AND name <> $1 AND heartbeat_at > now() - $2::interval)
"""
_FORGET = "DELETE FROM workers WHERE name = $1 AND pid = $2"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as it last reported. `heartbeat_age`: seconds since then, by the database's clock."""

    name: str
    pid: int
    web_url: str
    state: str
    is_poller: bool
    is_leader: bool
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age: float

    @property
    def is_silent(self) -> bool:
        """Whether its last report is too old."""
        return self.heartbeat_age > SILENT_AFTER.total_seconds()


async def heartbeat(
    pool: Pool,
    *,
    name: str,
    pid: int,
    web_url: str,
    state: str,
    is_poller: bool,
    is_leader: bool = False,
    can_poll: bool = True,
) -> None:
    """Report that this worker lives. A new process with the same name replaces the old one."""
    async with connection(pool) as writing:
        await writing.execute(_HEARTBEAT, name, pid, web_url, state, is_poller, is_leader, can_poll)


async def leader_cannot_poll(pool: Pool) -> bool:
    """Whether there is a leader that is not silent and says that it cannot poll."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval(_LEADER_CANNOT_POLL, SILENT_AFTER))


async def another_leads(pool: Pool, name: str) -> bool:
    """Whether a worker with another name than this, which is not silent, says that it leads."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval(_ANOTHER_LEADS, name, SILENT_AFTER))


async def live_workers(pool: Pool, within: timedelta = SILENT_AFTER) -> list[WorkerRow]:
    """The workers that reported within this time, by name."""
    async with connection(pool) as reading:
        return [WorkerRow(*row) for row in await reading.fetch(_LIVE, within)]


async def forget_worker(pool: Pool, *, name: str, pid: int) -> None:
    """Remove a worker that stops normally, unless another process has taken its name already."""
    async with connection(pool) as writing:
        await writing.execute(_FORGET, name, pid)
