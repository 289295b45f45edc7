"""Table polling_lease: one row that says who polls Reddit, until when, and how the budget stands.

Nothing of it lives in a session, so a connection that breaks costs nothing, and none can keep the lease. Times are
the database's: the worker gives and gets seconds from now.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from signalflow.domain.budget import AddressBlock, Handover
from signalflow.domain.lease import LEASE_SECONDS, Claim, LeaseRow, claim, handover_of
from signalflow.errors import Retryable
from signalflow.settings import Settings
from signalflow.storage.pool import Connection, Pool, connection, create_pool, transaction

# A worker that does not learn within this many seconds whether it holds the lease must act as if it did not.
ANSWER_SECONDS = 4.0

# A row that somebody deleted is made again.
_MAKE = "INSERT INTO polling_lease DEFAULT VALUES ON CONFLICT DO NOTHING"
_COLUMNS = """
SELECT holder, extract(epoch FROM until - now())::float8 AS ends_in,
    extract(epoch FROM not_before - now())::float8 AS blocked_for,
    extract(epoch FROM now() - last_request)::float8 AS last_start_ago,
    window_remaining, extract(epoch FROM window_ends - now())::float8 AS window_ends_in, limits_in_a_row,
    block_how, extract(epoch FROM now() - blocked_since)::float8 AS block_began_ago, block_answers
FROM polling_lease
"""
_READ = f"{_COLUMNS} FOR UPDATE"
_WRITE = """
UPDATE polling_lease SET holder = $1, until = now() + make_interval(secs => $2),
    not_before = now() + make_interval(secs => $3), last_request = now() - make_interval(secs => $4),
    window_remaining = $5, window_ends = now() + make_interval(secs => $6), limits_in_a_row = $7,
    block_how = $8, blocked_since = now() - make_interval(secs => $9), block_answers = $10
"""


class PollingLease:
    """The lease as one process asks for it. It has a connection of its own: a flush of the sink must not delay it."""

    def __init__(self, settings: Settings, holder: str) -> None:
        self._settings = settings.model_copy(update={"database_timeout": ANSWER_SECONDS / 2, "database_pool_size": 1})
        self._holder = holder
        self._pool: Pool | None = None
        # Whether this process knows that it holds the lease.
        self._was_told = False
        # What is asked first is written first.
        self._turn = asyncio.Lock()

    async def renew(self, handover: Handover) -> tuple[Claim, Handover]:
        """Take the lease, or hold it for another LEASE_SECONDS; `handover` is recorded if it was held already.

        Returns what became of it, and what the present poller must know. Raises Retryable when the database did not
        answer within ANSWER_SECONDS.
        """
        async with self._turn, _in_time(), transaction(await self._opened()) as writing:
            row = await _read(writing)
            outcome = claim(row, self._holder)
            if outcome == "kept" and not self._was_told:
                # The answer to an earlier attempt was lost: what the row says of the budget is not known here yet.
                outcome = "taken_over"
            stands = handover if outcome == "kept" else handover_of(row)
            if outcome != "refused":
                await _write(writing, self._holder, LEASE_SECONDS, stands)
        self._was_told = outcome != "refused"
        return outcome, stands

    async def release(self, handover: Handover) -> None:
        """End the lease at once if this process holds it. Raises Retryable as `renew` does."""
        self._was_told = False
        async with self._turn, _in_time(), transaction(await self._opened()) as writing:
            if (await _read(writing)).holder == self._holder:
                await _write(writing, None, 0.0, handover)

    async def close(self) -> None:
        """Close the connection. The lease stays as it is."""
        closing, self._pool = self._pool, None
        if closing is not None:
            closing.terminate()

    async def _opened(self) -> Pool:
        if self._pool is None:
            self._pool = await create_pool(self._settings, application_name="signalflow polling lease")
        return self._pool


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise Retryable(f"the database did not answer within {ANSWER_SECONDS:g} s") from error


async def lease_now(pool: Pool) -> LeaseRow | None:
    """The row as it is, without waiting for who writes it; None when nobody has ever polled."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_COLUMNS)
        return None if row is None else _lease_of(row)


async def _read(writing: Connection) -> LeaseRow:
    row = await writing.fetchrow(_READ)
    if row is None:
        await writing.execute(_MAKE)
        row = await writing.fetchrow(_READ)
    if row is None:
        raise Retryable("the row of polling_lease was removed while it was read")
    return _lease_of(row)


def _lease_of(row: asyncpg.Record) -> LeaseRow:
    return LeaseRow(
        holder=row["holder"],
        ends_in=row["ends_in"],
        handover=Handover(
            blocked_for=max(row["blocked_for"] or 0.0, 0.0),
            last_start_ago=float("inf") if row["last_start_ago"] is None else max(row["last_start_ago"], 0.0),
            window_remaining=row["window_remaining"],
            window_ends_in=None if row["window_ends_in"] is None else max(row["window_ends_in"], 0.0),
            limits_in_a_row=row["limits_in_a_row"],
            address_block=None
            if row["block_how"] is None
            else AddressBlock(row["block_how"], max(row["block_began_ago"], 0.0), row["block_answers"]),
        ),
    )


async def _write(writing: Connection, holder: str | None, seconds: float, stands: Handover) -> None:
    block = stands.address_block
    await writing.execute(
        _WRITE,
        holder,
        seconds,
        stands.blocked_for or None,
        None if stands.last_start_ago == float("inf") else stands.last_start_ago,
        stands.window_remaining,
        stands.window_ends_in,
        stands.limits_in_a_row,
        block.how if block else None,
        block.began_ago if block else None,
        block.answers if block else None,
    )
