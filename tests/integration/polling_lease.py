"""The lease to poll, made older."""

import asyncpg


async def pass_time(database_url: str, seconds: float) -> None:
    """Make all that the lease says this much older."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE polling_lease SET until = until - $1 * interval '1 s', not_before = not_before - $1 * interval '1 s',"
        " last_request = last_request - $1 * interval '1 s', window_ends = window_ends - $1 * interval '1 s',"
        " blocked_since = blocked_since - $1 * interval '1 s'",
        seconds,
    )
    await connection.close()
