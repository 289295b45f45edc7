"""The sink agent: enriched records into the database, acknowledged after the commit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import mode
import structlog

from signalflow.clock import utcnow
from signalflow.dead_letters.letter import NO_IDS, dead_letter
from signalflow.dead_letters.limit import DeadLetterLimit
from signalflow.errors import Invalid
from signalflow.events import Enriched, Stage, decode_enriched
from signalflow.fail_points import reach
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import DEAD_LETTERS, ROWS_WRITTEN, VISIBLE_SECONDS
from signalflow.settings import Settings
from signalflow.storage.writer import write_or_reject
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, consume

log = structlog.get_logger()

# Rows of one flush whose latency is measured: enough for a quantile, and no cost that grows with the load.
MOST_TIMED_ROWS = 50


@dataclass
class Flush:
    """Rows to store with the records they came from, and dead letters by partition."""

    rows: list[Enriched] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    undecodable: dict[int, list[Outgoing]] = field(default_factory=dict)


class SinkHandler:
    """Writes batches of enriched records in one transaction each."""

    def __init__(
        self,
        settings: Settings,
        pool: Any,
        producer: ConfirmedProducer,
        worker: str,
        *,
        topic_ids: Mapping[str, UUID] = NO_IDS,
        limit: DeadLetterLimit | None = None,
    ) -> None:
        self._dlq = TopicNames.of(settings).posts_dlq
        self._pool, self._producer, self._worker = pool, producer, worker
        self._topic_ids, self._limit = topic_ids, limit

    async def prepare(self, batch: Batch) -> Flush:
        """Decode; a record that cannot be decoded becomes a dead letter."""
        flush = Flush()
        for partition, records in batch.partitions.items():
            for record in records:
                try:
                    flush.rows.append(decode_enriched(record.value or b""))
                    flush.records.append(record)
                except Invalid as error:
                    letter = self._dead_letter(record, error, "decode")
                    flush.undecodable.setdefault(partition, []).append(letter)
                    DEAD_LETTERS.labels(stage="decode").inc()
        return flush

    async def commit(self, work: Flush, owned: Ownership) -> None:
        """Rows into the database; those that it refuses, and those that did not decode, to the dead-letter topic, confirmed."""
        if work.undecodable:
            await self._set_aside(work.undecodable)
            work.undecodable = {}
        rejected = await write_or_reject(self._pool, work.rows)
        if rejected:
            letters: dict[int, list[Outgoing]] = {}
            for rejection in rejected:
                record = work.records[rejection.index]
                letter = self._dead_letter(record, rejection.error, "write")
                letters.setdefault(record.partition, []).append(letter)
            await self._set_aside(letters)
            DEAD_LETTERS.labels(stage="write").inc(len(rejected))
            log.warning("rows_rejected", rows=len(rejected), first_error=str(rejected[0].error))
        self._count(work.rows, len(rejected))

    def _dead_letter(self, record: Any, error: Invalid, stage: Stage) -> Outgoing:
        return dead_letter(record, error, stage=stage, worker=self._worker, now=utcnow(), topic_ids=self._topic_ids)

    async def _set_aside(self, letters: dict[int, list[Outgoing]]) -> None:
        """Send dead letters, confirmed. Raises Fatal, with nothing sent, when they exceed the limit."""
        if self._limit is not None:
            await self._limit.admit(letters)
        await self._producer.send(self._dlq, letters)
        reach("sink.after_dead_letters")

    def _count(self, rows: Sequence[Enriched], rejected: int) -> None:
        ROWS_WRITTEN.inc(len(rows) - rejected)
        now = utcnow()
        for row in rows[:: max(len(rows) // MOST_TIMED_ROWS, 1)]:
            VISIBLE_SECONDS.observe(max((now - row.emitted_at).total_seconds(), 0.0))


def register(app: Application, settings: Settings, handler_of: Callable[[], SinkHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_enriched)
    gathering = Gathering(settings.sink_max_records, settings.sink_max_records_behind, settings.sink_max_seconds)

    @app.agent(topic, name="sink", supervisor_strategy=mode.CrashingSupervisor)
    async def sink(stream: Any) -> None:
        await consume(app, stream, handler_of(), gathering, name="sink", guard=settings.contiguity_guard)
