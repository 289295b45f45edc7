"""How long one transaction of 50 rows takes, of which half update posts that are stored already."""

import time
from random import Random
from typing import Any

from signalflow.clock import utcnow
from signalflow.enrichment import Enricher, microseconds
from signalflow.events import Enriched, Source
from signalflow.storage.pool import create_pool
from signalflow.storage.writer import write_batch
from tests.bench.load import Load
from tests.bench.stack import Stack
from tests.bench.statistics import quantiles

ROWS = 50
FLUSHES = 400
# The first flushes open the connection, prepare the statements and fill caches.
WARM_UP = 20


async def flushes(stack: Stack) -> dict[str, Any]:
    """Wall-clock milliseconds of `write_batch` on a durable database, one call after the other."""
    settings = await stack.installation("flush")
    half, rng = ROWS // 2, Random(1)
    load, enricher = Load(half * (WARM_UP + FLUSHES + 1), utcnow()), Enricher(settings)

    def row(index: int, round_: int) -> Enriched:
        source = Source(topic="bench", partition=0, offset=0)
        envelope = load.envelope(index, round_)
        return enricher.enrich(envelope, source, microseconds(envelope.metadata.observed_at), lambda: None)[0]

    pool = await create_pool(settings, application_name="bench")
    try:
        await write_batch(pool, [row(index, 0) for index in range(half)])
        milliseconds = []
        for number in range(1, WARM_UP + FLUSHES + 1):
            stored = half * number
            rows = [row(index, 0) for index in range(stored, stored + half)]
            rows += [row(index, number) for index in rng.sample(range(stored), half)]
            began = time.perf_counter()
            await write_batch(pool, rows)
            milliseconds.append((time.perf_counter() - began) * 1000)
    finally:
        await pool.close()
    return {"flushes": FLUSHES, "rows": ROWS} | quantiles(milliseconds[WARM_UP:], "ms")
