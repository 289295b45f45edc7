"""How far a topic is stored: what this worker wrote, compared with what the database says, and what to do then."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog
from faust.types import TP

from signalflow.domain.positions import Position, Start
from signalflow.errors import Retryable
from signalflow.kafka.records import KafkaRecord
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Progress, StoredBehind, count_as_stored, set_back, stored_positions
from signalflow.streams.batch_loop import Ownership, Rewind
from signalflow.streams.brokers import Brokers
from signalflow.streams.consumer_positions import PositionedConsumer

log = structlog.get_logger()

# Of so many records before a commit, the newest that can be stored tells whether the database has them.
RECORDS_TO_LOOK_AT = 100
REASON = "database_behind"

CheckKeptPositions = Callable[[Mapping[TP, Position]], Awaitable[Mapping[TP, Start]]]
"""Where the logs go on after these positions; reports those whose logs were cut since. Raises Retryable."""

IsStored = Callable[[Pool, Sequence[KafkaRecord]], Awaitable[bool]]
"""Whether the newest of these records that can be stored is in the database."""


class StoredTopic:
    """What this worker has stored of one topic, and whether the database still has it."""

    def __init__(
        self, pool: Pool, brokers: Brokers, topic: str, is_stored: IsStored, check_kept_positions: CheckKeptPositions
    ) -> None:
        self._pool, self._brokers, self._is_stored, self._check_kept_positions = (
            pool,
            brokers,
            is_stored,
            check_kept_positions,
        )
        self.topic = topic
        # Of the current generation, by partition: the start offset that counted, and the offset that is stored next.
        self._generation = -1
        self._starts: dict[int, int] = {}
        self._expected: dict[int, int] = {}

    @asynccontextmanager
    async def progress(self, owned: Ownership, partitions: Iterable[int]) -> AsyncIterator[Progress | None]:
        """What the database must have stored before these partitions are written; None without brokers, in tests.

        What the block stores is remembered. When the database is behind, the block ends with Rewind, or with Retryable
        after its positions were set to what is true.
        """
        topic_id = owned.topic_id(self.topic)
        if topic_id is None:
            yield None
            return
        if owned.generation != self._generation:
            self._generation = owned.generation
            self.forget(list(self._starts))
        for partition in partitions:
            start = owned.start_offset(TP(self.topic, partition))
            if self._starts.get(partition) != start:
                self._starts[partition] = self._expected[partition] = start
        # A copy: the timer that compares the database may forget partitions while they are written.
        progress = Progress(topic_id, dict(self._expected))
        try:
            yield progress
        except StoredBehind as error:
            missing = await self.missing(progress)
            if missing:
                self.forget(missing)
                raise Rewind(missing, REASON) from error
            raise Retryable(f"{error}: its positions were set anew") from error
        finally:
            stored = progress.expected.items()
            self._expected.update({partition: offset for partition, offset in stored if partition in self._starts})

    async def compare(self, consumer: PositionedConsumer) -> None:
        """Rewind the partitions whose committed records the database lacks, also when no new record comes.

        Raises Retryable when Kafka or the database is away.
        """
        topic_id = consumer.topic_id(self.topic)
        if topic_id is None:
            return
        # The database is asked later, so it is behind only when it has lost what was committed.
        committed = {tp.partition: consumer.committed_upto(tp) for tp in consumer.started() if tp.topic == self.topic}
        missing = await self.missing(Progress(topic_id, committed))
        if missing:
            self.forget(missing)
            await consumer.rewind({TP(self.topic, partition): offset for partition, offset in missing.items()}, REASON)

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget what was stored of partitions that are read again."""
        for partition in partitions:
            self._starts.pop(partition, None)
            self._expected.pop(partition, None)

    async def missing(self, progress: Progress) -> Mapping[int, int]:
        """By partition, the first record that the log has and the database lacks. Raises Retryable.

        What neither has any more counts as stored from now on.
        """
        stored = await self._stored_in_this_log(progress)
        found: dict[int, int] = {}
        for partition, expected in list(progress.expected.items()):
            tp = TP(self.topic, partition)
            begin = stored.get(partition)
            if begin is None:
                begin = expected if expected == 0 or await self._has_what_was_stored(tp, expected) else 0
            elif begin >= expected:
                # What lies between was stored by another worker, or before a repetition.
                progress.expected[partition] = begin
                continue
            first = await self._brokers.first_record(tp, begin, expected) if begin < expected else None
            if first is not None:
                found[partition] = first
            below = expected if first is None else first
            if below > begin and begin < (start := await self._brokers.log_start(tp)):
                # From the start of the log on, offsets without a record are marks of transactions.
                end = min(below, start)
                log.error("records_of_the_database_are_gone", topic=tp.topic, partition=partition, first=begin, end=end)
            if below > stored.get(partition, -1):
                await count_as_stored(self._pool, progress.topic_id, partition, below)
        return found

    async def _stored_in_this_log(self, progress: Progress) -> Mapping[int, int]:
        """By partition, the offset up to which the database has stored the log as it is now.

        A position beyond a cut is set back: other records have the offsets below it by now.
        """
        of_topic = await stored_positions(self._pool, progress.topic_id)
        positions = {TP(self.topic, each): of_topic[each] for each in progress.expected if each in of_topic}
        starts = await self._check_kept_positions(positions) if positions else {}
        stored = {tp.partition: position.offset for tp, position in positions.items()}
        for tp, start in starts.items():
            if start.broken:
                await set_back(self._pool, progress.topic_id, tp.partition, stored[tp.partition], start.offset)
                stored[tp.partition] = start.offset
        return stored

    async def _has_what_was_stored(self, tp: TP, expected: int) -> bool:
        """Whether the database has the last record that was stored, although it has no position of the partition.

        It has when its schema had no positions until now. A database that is new, or that was restored from a copy
        without positions, lacks it.
        """
        records = await self._brokers.records_below(tp, expected, RECORDS_TO_LOOK_AT)
        return bool(records) and await self._is_stored(self._pool, records)
