"""How much there is."""

from signalflow.storage.pool import Pool, connection


async def count_posts(pool: Pool) -> int:
    """The number of posts in the database. Raises Retryable when it is away."""
    async with connection(pool) as reading:
        return int(await reading.fetchval("SELECT count(*) FROM posts"))
