"""The enrich agent: raw observations in, enriched records and post states out, bad records to the dead-letter topic.

Beside each enriched record goes what signals are computed from, with its subreddit as key, and of a new post a mention
of each of its terms, with the hash of the term as key. A copy that a replay sent gives none: its observation was
counted.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import mode
import structlog

from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.enrichment import Defect, Enricher
from signalflow.errors import Invalid
from signalflow.events import DeadLetter
from signalflow.kafka.producer import ConfirmedProducer, partition_for
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.resending import is_copy
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import SIGNAL_INPUTS_REFUSED
from signalflow.settings import Settings
from signalflow.signal_detection import input_of, outgoing_input
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_types import RunStream
from signalflow.streams.state_table import StateTable
from signalflow.streams.unit_of_work import RefusedOutput, Unit, write_unit
from signalflow.streams.watermarks import Watermarks
from signalflow.term_detection import mentions_of
from tables.post_state import BatchStates

log = structlog.get_logger()

# Records computed before other tasks of the event loop get a turn. 1,000 records take 50 ms: too long a wait for the
# statements of the sink.
RECORDS_A_TURN = 50
# The hash of a key takes as long as the rest of its record, and subreddits come again and again.
_partition_of = lru_cache(10_000)(partition_for)
# Apart from subreddits, which many terms that come once would push out.
_partition_of_term = lru_cache(16_384)(partition_for)


@dataclass
class EnrichWork:
    """The result of one batch: the dead letters of its bad records, and the unit of work of the others."""

    letters: list[DeadLetter] = field(default_factory=list)
    unit: Unit = field(default_factory=Unit)


class EnrichHandler:
    """Takes batches of raw records through the unit of work, and advances the watermark of each partition.

    `partitions()`: how many partitions the topics have now that share their numbers.
    """

    def __init__(
        self,
        settings: Settings,
        table: StateTable,
        producer: ConfirmedProducer,
        dead_letters: DeadLetters,
        watermarks: Watermarks,
        partitions: Callable[[], int],
    ) -> None:
        self._enricher, self._with_signals, self._partitions = Enricher(settings), settings.signals, partitions
        names = TopicNames.of(settings)
        self._enriched_topic, self._inputs_topic = names.posts_enriched, names.signal_inputs
        self._terms_topic = names.term_inputs
        self._table, self._producer, self._dead_letters = table, producer, dead_letters
        self._watermarks = watermarks

    async def prepare(self, batch: Batch) -> EnrichWork:
        """Outputs, states and dead letters of a batch, computed from the log and the table alone."""
        work = EnrichWork()
        for partition, records in batch.partitions.items():
            states = BatchStates(self._table.read(partition, list({record.key for record in records if record.key})))
            for index, record in enumerate(records):
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1:
                    await asyncio.sleep(0)
                self._enrich(work, states, record)
            work.unit.states[partition] = states.changes()
        return work

    def _enrich(self, work: EnrichWork, states: BatchStates, record: KafkaRecord) -> None:
        try:
            result = self._enricher.enrich_record(record, states.get)
        except Defect as error:
            work.letters.append(self._dead_letters.letter(record, error, "enrich"))
            return
        except Invalid as error:
            work.letters.append(self._dead_letters.letter(record, error, "validate"))
            return
        work.unit.emit(self._enriched_topic, record.partition, result.output, record)
        if self._with_signals and not is_copy(record):
            given = outgoing_input(input_of(result.enriched, result.is_discovery, record.timestamp * 1000), record)
            partitions = self._partitions()
            work.unit.emit(self._inputs_topic, _partition_of(given.key or b"", partitions), given, record)
            for mention in mentions_of(result.enriched, result.is_discovery, record):
                work.unit.emit(self._terms_topic, _partition_of_term(mention.key or b"", partitions), mention, record)
        if result.state is not None:
            states.put(result.key, result.state)
            self._watermarks.advance(record.partition, result.reached_us)

    async def commit(self, work: EnrichWork, owned: Ownership) -> None:
        """Write dead letters, outputs, changelog and RocksDB, in this order, each confirmed before the next.

        A record whose enriched record the brokers refuse becomes a dead letter too.
        Raises Fatal before any of them when the dead letters exceed their limit.
        """
        if work.letters:
            owned.check()
            await self._dead_letters.send(work.letters)
            work.letters = []
        await write_unit(work.unit, self._producer, self._table, owned, self._set_aside)

    async def _set_aside(self, refused: Sequence[RefusedOutput]) -> None:
        posts = [each for each in refused if each.topic == self._enriched_topic]
        await self._dead_letters.send([self._dead_letters.letter(each.source, each.error, "enrich") for each in posts])
        # The post is in its topic. A dead letter would say that it is not, and many would stop the worker.
        for topic in (self._inputs_topic, self._terms_topic):
            inputs = [each for each in refused if each.topic == topic]
            if inputs:
                SIGNAL_INPUTS_REFUSED.inc(len(inputs))
                log.error("signal_inputs_refused", topic=topic, records=len(inputs), error=str(inputs[0].error))


def register(app: Application, settings: Settings, handler_of: Callable[[], EnrichHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_raw)
    gathering = Gathering(settings.enrich_max_records, settings.enrich_max_records, settings.enrich_gather_seconds)

    @app.agent(topic, name="enrich", supervisor_strategy=mode.CrashingSupervisor)
    async def enrich(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering, name="enrich")
