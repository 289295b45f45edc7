"""The upper limit: one process that does the same decoding, arithmetic and SQL as a worker, and guarantees nothing.

It has no changelog, no output topic and no commits; its state is a dict, and a lost connection ends it. As in the
worker, the next batch is computed while the last one is written. `tests.bench` starts it as `python -m
tests.bench.bare_loop EVENTS BATCH`, with the settings in the environment.
"""

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher
from signalflow.events import Enriched, Source, decode_envelope
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import get_settings
from signalflow.storage.pool import create_pool
from signalflow.storage.writer import write_batch

TURN_RECORDS = 50


class Bare:
    """Computes enriched records, with its state in a dict."""

    def __init__(self) -> None:
        self._enricher = Enricher(get_settings())
        self._states: dict[str, PostState] = {}

    async def rows(self, records: Iterable[Any]) -> list[Enriched]:
        """The enriched records. It yields to the event loop now and then, so that writing goes on meanwhile."""
        rows: list[Enriched] = []
        for record in records:
            if len(rows) % TURN_RECORDS == 0:
                await asyncio.sleep(0)
            envelope = decode_envelope(record.value)
            post_id = envelope.payload.id
            source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
            row, state = self._enricher.enrich(
                envelope, source, record.timestamp * 1000, lambda post_id=post_id: self._states.get(post_id)
            )
            if state is not None:
                self._states[post_id] = state
            rows.append(row)
        return rows


async def main(events: int, batch: int) -> None:
    """Process this many events in batches of at most `batch`."""
    settings, bare = get_settings(), Bare()
    pool = await create_pool(settings, application_name="bare loop")
    consumer = AIOKafkaConsumer(**connection_options(settings), auto_offset_reset="earliest")
    topic = TopicNames.of(settings).posts_raw
    consumer.assign([TopicPartition(topic, partition) for partition in range(settings.topic_partitions)])
    await consumer.start()
    taken, writing = 0, None
    while taken < events:
        batches = await consumer.getmany(timeout_ms=1000, max_records=batch)
        rows = await bare.rows(record for records in batches.values() for record in records)
        taken += len(rows)
        if writing:
            await writing
        writing = asyncio.create_task(write_batch(pool, rows))
    if writing:
        await writing
    # The bench reads how much processor time this process took, and then ends it.
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
