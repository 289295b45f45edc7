"""A Faust table that is read and written in batches.

Its RocksDB is never ahead of its changelog, and two states of one key can be merged. Faust still does membership,
assignment, recovery, table routing and web inspection, and the changelog has Faust's ordinary format. Only this module
uses Faust's private `data._db_for_partition` and `data.offset_key`. Verified with faust-streaming 0.15.3 and rocksdict
0.3.29; tests/integration/test_path_state_table.py guards it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import faust
import rocksdict
import structlog

from signalflow.errors import Fatal, Retryable
from signalflow.fail_points import reach
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, Span
from signalflow.kafka.reader import read_range
from signalflow.metrics import CHANGELOG_JUMPS, TABLE_RESTORED, UNIT_STEP_SECONDS
from signalflow.streams.faust_types import ChangelogEvent, ChangelogMessage
from signalflow.streams.local_state import is_damage, lacks_space

log = structlog.get_logger()

# RocksDB's name of the estimate.
ENTRIES = "rocksdb.estimate-num-keys"

State = dict[bytes, bytes | None]

# Faust's defaults for RocksDB are 2 GiB of cache and 192 MiB of write buffers per partition. Ours come to 18 MiB a
# table with 12 partitions: the states of 100,000 posts are 15 to 25 MiB, and four times as much memory reads no faster.
# A larger cache fills for hours and looks like a leak meanwhile: blocks of files that compaction removed stay in it
# until it is full.
ROCKSDB_OPTIONS = {
    "block_cache_size": 1 << 19,
    "write_buffer_size": 1 << 19,
    "max_write_buffer_number": 2,
    "max_open_files": 256,
}


class StateCodec(Protocol):
    """How a table merges its values, and when it may remove them."""

    def merge(self, one: bytes, other: bytes) -> bytes:
        """The union of two values of one key: commutative and idempotent."""
        ...

    def expired(self, value: bytes, now_us: int) -> bool:
        """Whether a value may be removed at this time (microseconds since the epoch)."""
        ...


class StateTable(faust.Table):
    """Batch reads and confirmed batch writes. `agent`: the name of the agent that writes it. See `create_table`."""

    codec: StateCodec
    agent: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._write_lock = asyncio.Lock()

    # --- reading

    def read(self, partition: int, keys: Sequence[bytes]) -> State:
        """The values of these keys in one partition; None where there is none. Raises Fatal when a file is damaged."""
        keys = list(keys)
        if not keys:
            return {}
        try:
            return dict(zip(keys, self.data._db_for_partition(partition).get(keys), strict=True))
        except Exception as error:
            if not is_damage(error):
                raise
            path = self.data.partition_path(partition)
            raise Fatal(f"{path} cannot be read; start again, it is restored from its changelog: {error}") from error

    def offset_reached(self, partition: int) -> int:
        """The changelog offset up to which the local state is complete; -1 at the beginning."""
        persisted = self.data._db_for_partition(partition).get(self.data.offset_key)
        return -1 if persisted is None else int(persisted)

    def entries(self) -> int:
        """How many entries the open partitions have, by RocksDB's estimate, which may count a key twice."""
        stores = self.data._dbs.values()
        # One entry of each is the offset.
        return sum(max(int(store.property_int_value(ENTRIES) or 0) - 1, 0) for store in stores)

    def expired_keys(self, partition: int, now_us: int, limit: int) -> list[bytes]:
        """At most `limit` keys of one partition whose state has expired."""
        found: list[bytes] = []
        for key, value in self.data._visible_items(self.data._db_for_partition(partition)):
            if self.codec.expired(value, now_us):
                found.append(key)
                if len(found) >= limit:
                    break
        return found

    # --- writing

    async def write(
        self, producer: ConfirmedProducer, by_partition: Mapping[int, State], check: Callable[[], None] = lambda: None
    ) -> None:
        """Send to the changelog and wait for its confirmation; then put values and offset into RocksDB in one write.

        RocksDB gets one such write per partition.

        `check` is called when no other write is under way, and raises when another worker owns the partitions. Raises
        Retryable when the brokers are away, or the disk of the local state is full: write the same again.
        """
        async with self._write_lock:
            check()
            reach(f"{self.agent}.before_changelog")
            with UNIT_STEP_SECONDS.labels(agent=self.agent, step="changelog").time():
                spans = await self._send(producer, by_partition)
            reach(f"{self.agent}.after_changelog")
            for partition, state in by_partition.items():
                with UNIT_STEP_SECONDS.labels(agent=self.agent, step="store").time():
                    unbroken = self._apply(partition, state, spans.get(partition, []))
                reach(f"{self.agent}.after_state")
                if not unbroken:
                    await self._close_jump(producer, partition, spans[partition])

    async def _send(self, producer: ConfirmedProducer, by_partition: Mapping[int, State]) -> dict[int, list[Span]]:
        batches = {
            partition: [Outgoing(key, value) for key, value in state.items()]
            for partition, state in by_partition.items()
            if state
        }
        return await producer.send(self.changelog_topic.get_topic_name(), batches) if batches else {}

    def _apply(self, partition: int, state: State, spans: Iterable[Span]) -> bool:
        """Apply the records that the changelog has confirmed. The offset advances over our own contiguous records only.

        Returns False at a jump: another worker wrote in between, and the next recovery will read that range.
        """
        reached = self.offset_reached(partition)
        unbroken = True
        for span in spans:
            if span.first != reached + 1:
                unbroken = False
                break
            reached = span.last
        self._put(partition, state, reached)
        return unbroken

    async def _close_jump(self, producer: ConfirmedProducer, partition: int, spans: Sequence[Span]) -> None:
        """Merge what another worker wrote between our records, write the unions back, and advance the offset.

        Without the write-back, compaction could keep the other worker's older value, which is the later record of its
        key. Only the owner of the current generation gets here: an earlier owner's batch is given back before it
        writes.
        """
        CHANGELOG_JUMPS.inc()
        topic = self.changelog_topic.get_topic_name()
        first, upto = self.offset_reached(partition) + 1, spans[-1].last
        log.warning("changelog_jump", topic=topic, partition=partition, first=first, upto=upto)
        try:
            records = await read_range(producer.settings, topic, partition, first, upto)
        except Retryable as error:
            # The offset stays behind, so the next batch or the next recovery reads this range again.
            log.warning("changelog_jump_left_open", topic=topic, partition=partition, error=str(error))
            return
        # The application writes no record without a key; there is no state that another program's could change.
        keyed = [(record.key, record) for record in records if record.key is not None]
        values = self.read(partition, list({key for key, _ in keyed}))
        in_log: State = {}
        for key, record in keyed:
            values[key] = self._merged(values[key], record.value, record.timestamp)
            in_log[key] = record.value
        unions = {key: value for key, value in values.items() if value != in_log[key]}
        # Wait for the confirmation before the offset advances: otherwise a send that failed would not be repeated.
        written = await self._send(producer, {partition: unions})
        self._put(partition, values, upto)
        self._apply(partition, unions, written.get(partition, []))

    # --- recovery

    def apply_changelog_batch(self, batch: Iterable[ChangelogEvent]) -> None:
        """Apply changelog records in a recovery. States of one key are merged; the last record does not simply win.

        A worker that seemed dead may have written late. Records fetched under an earlier assignment are ignored:
        records before them may have been dropped, and the offset must not pass dropped records. The recovery of the new
        assignment reads all of them again.
        """
        by_partition: dict[int, list[ChangelogMessage]] = {}
        generation = self.app.consumer_generation_id
        for event in batch:
            if event.message.generation_id == generation:
                by_partition.setdefault(event.message.partition, []).append(event.message)
        try:
            for partition, messages in by_partition.items():
                self._recover(partition, messages)
        except (Fatal, Retryable) as error:
            # Faust's recovery only logs an error that is raised here, and would then wait for ever.
            self._crash = asyncio.ensure_future(self.app.crash(error))
            raise

    def _recover(self, partition: int, messages: Sequence[ChangelogMessage]) -> None:
        # An offset without a state has no key: the end of a transaction, or a record that cannot be decoded. Faust must
        # get it nevertheless, because a recovery ends with the last offset of the changelog.
        states = [(message.key, message) for message in messages if message.key is not None]
        values = self.read(partition, list({key for key, _ in states}))
        for key, message in states:
            values[key] = self._merged(values[key], message.value, int(message.timestamp * 1000))
        self._put(partition, values, max(message.offset for message in messages))
        TABLE_RESTORED.inc(len(messages))

    def _merged(self, mine: bytes | None, theirs: bytes | None, timestamp_ms: int) -> bytes | None:
        """A tombstone removes only a state that had expired when it was written."""
        if theirs is None:
            return None if mine is None or self.codec.expired(mine, timestamp_ms * 1000) else mine
        return theirs if mine is None else self.codec.merge(mine, theirs)

    def _put(self, partition: int, values: Mapping[bytes, bytes | None], offset: int) -> None:
        write = rocksdict.WriteBatch(raw_mode=True)
        for key, value in values.items():
            if value is None:
                write.delete(key)
            else:
                write.put(key, value)
        if offset >= 0:
            write.put(self.data.offset_key, str(offset).encode())
        try:
            self.data._db_for_partition(partition).write(write)
        except Exception as error:
            if lacks_space(error):
                raise Retryable(f"the local state of partition {partition} cannot be written: {error}") from error
            raise


def create_table(app: faust.App, name: str, codec: StateCodec, *, partitions: int, agent: str, help: str) -> StateTable:
    """A table of this application, which this agent writes."""
    table: StateTable = app.Table(
        name, key_type=bytes, value_type=bytes, partitions=partitions, options=dict(ROCKSDB_OPTIONS), help=help
    )
    table.codec, table.agent = codec, agent
    return table
