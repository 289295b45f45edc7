"""The enrich agent: raw observations in, enriched records and post states out, bad records to the dead-letter topic.

Beside each enriched record goes what signals are computed from, with its subreddit as key, and of a new post a mention
of each of its terms, with the hash of the term as key. A copy that a replay sent gives none: its observation was
counted.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import mode
import structlog

from agents.computing import BatchValues, ComputingHandler, Work
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher
from signalflow.kafka.producer import ConfirmedProducer, partition_for
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.resending import is_copy
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import SIGNAL_INPUTS_REFUSED
from signalflow.settings import Settings
from signalflow.signal_detection import input_of, outgoing_input
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Gathering, run_batch_loop
from signalflow.streams.faust_types import RunStream
from signalflow.streams.state_table import StateTable
from signalflow.streams.unit_of_work import RefusedOutput
from signalflow.streams.watermarks import Watermarks
from signalflow.term_detection import mentions_of
from tables.post_state import BatchStates

log = structlog.get_logger()

# The hash of a key takes as long as the rest of its record, and subreddits come again and again.
_partition_of = lru_cache(10_000)(partition_for)
# Apart from subreddits, which many terms that come once would push out.
_partition_of_term = lru_cache(16_384)(partition_for)


class EnrichHandler(ComputingHandler[PostState]):
    """Takes batches of raw records through enrichment. A record whose enriched record is refused becomes a dead letter.

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
        super().__init__(table, producer, dead_letters, watermarks)
        self._enricher, self._with_signals, self._partitions = Enricher(settings), settings.signals, partitions
        names = TopicNames.of(settings)
        self._enriched_topic, self._inputs_topic = names.posts_enriched, names.signal_inputs
        self._terms_topic = names.term_inputs

    def values_of(self, partition: int, keys: Sequence[bytes]) -> BatchStates:
        """The states of these posts."""
        return BatchStates(self._table.read(partition, keys))

    def compute(self, work: Work, values: BatchValues[PostState], record: KafkaRecord) -> None:
        """Add the enriched record, what signals are computed from, and the post's state after it."""
        result, unit = self._enricher.enrich_record(record, values.get), work.unit
        unit.emit(self._enriched_topic, record.partition, result.output, record)
        if self._with_signals and not is_copy(record):
            given = outgoing_input(input_of(result.enriched, result.is_discovery, record.timestamp * 1000), record)
            partitions = self._partitions()
            unit.emit(self._inputs_topic, _partition_of(given.key or b"", partitions), given, record)
            for mention in mentions_of(result.enriched, result.is_discovery, record):
                unit.emit(self._terms_topic, _partition_of_term(mention.key or b"", partitions), mention, record)
        if result.state is not None:
            values.put(result.key, result.state)
            self._watermarks.advance(record.partition, result.reached_us)

    async def set_aside(self, refused: Sequence[RefusedOutput]) -> None:
        """Make records whose enriched record is refused dead letters; do without inputs of signals that are."""
        await self.send_letters([each for each in refused if each.topic == self._enriched_topic])
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
