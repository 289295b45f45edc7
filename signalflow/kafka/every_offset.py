"""Lets the consumers of aiokafka deliver every offset of a log, so that one bad batch harms no other record.

aiokafka 0.14 stops reading a partition at a batch that it cannot decode: it raises the same error at each fetch. It
also delivers nothing for the offsets of control records and of aborted transactions, which a reader cannot tell from
records that were lost. Here a record that cannot be decoded is delivered as an UnreadableRecord, and an offset without
a record as an EmptyOffset.
"""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeAlias

import structlog
from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from signalflow.kafka.record_batches import (
    BatchHeader,
    Undecodable,
    Unparsed,
    pieces_of,
    unpack_gzip,
    unpack_lz4,
    unpack_snappy,
    unpack_zstd,
)
from signalflow.kafka.records import EmptyOffset, UnreadableRecord

log = structlog.get_logger()

Delivered: TypeAlias = "ConsumerRecord[bytes, bytes] | EmptyOffset | UnreadableRecord"

# Records of an aborted transaction were taken back by their producer. The price: while a transaction is open, nothing
# behind it is read.
ISOLATION = "read_committed"

# Topic, partition and first offset of a batch.
Place = tuple[str, int, int]

# Base offset and length stand before every batch; the magic byte, which is the version of the format, follows them.
_LENGTH_AT, _OVERHEAD, _MAGIC_AT = 8, 12, 16
_MAGIC_OF_BATCHES = 2
# By version of the format.
_LEAST_BYTES = (26, 34, 61)
# Damaged batches that were fetched once. More than a few at the same time mean that the brokers' disk is at fault.
_MOST_DAMAGED = 1_000
_CODECS = {
    "gzip_decode": unpack_gzip,
    "snappy_decode": unpack_snappy,
    "lz4_decode": unpack_lz4,
    "zstd_decode": unpack_zstd,
}
# The modules that unpack batches. Their own codecs have no limit.
_USE_CODECS = (sys.modules[DefaultRecordBatch.__module__], sys.modules[LegacyRecordBatch.__module__])


class FetchedBatches:
    """The batches of one partition in the answer to a fetch, as bytes. Replaces aiokafka's MemoryRecords."""

    def __init__(self, data: bytes | None) -> None:
        self._data = memoryview(data or b"")
        self._at = 0

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        """Whether a whole batch follows; the last one of an answer may be cut."""
        return len(self._data) - self._at > _MAGIC_AT and self._end() <= len(self._data)

    def next_batch(self) -> memoryview:
        """The bytes of the next batch."""
        begin, self._at = self._at, self._end()
        return self._data[begin : self._at]

    def next_first_offset(self) -> int | None:
        """The first offset of the next batch, if there is one."""
        return int.from_bytes(self._data[self._at : self._at + _LENGTH_AT], "big") if self.has_next() else None

    def _end(self) -> int:
        length = int.from_bytes(self._data[self._at + _LENGTH_AT : self._at + _OVERHEAD], "big", signed=True)
        # A batch that is shorter than its own header ends the answer.
        return self._at + _OVERHEAD + length if length > _MAGIC_AT - _OVERHEAD else len(self._data) + 1


class EveryOffset(PartitionRecords):
    """The records of one fetched partition, without a hole.

    A batch whose checksum is wrong is fetched a second time, from its own offset on, because it may have been damaged
    on its way. `damaged` remembers the batches for which a second fetch is under way.
    """

    def __init__(self, *args: Any, damaged: set[Place]) -> None:
        self._damaged = damaged
        self.next_fetch_offset: int
        super().__init__(*args)

    def _unpack_records(self) -> Iterator[Delivered]:
        while self._records.has_next():
            raw: memoryview = self._records.next_batch()
            magic = raw[_MAGIC_AT]
            if len(raw) < _LEAST_BYTES[min(magic, _MAGIC_OF_BATCHES)]:
                # aiokafka's decoders would read beyond its end.
                yield from self._pieces(raw, self.next_fetch_offset + 1, "its batch is shorter than its header")
                continue
            batch = DefaultRecordBatch(raw) if magic >= _MAGIC_OF_BATCHES else LegacyRecordBatch(raw, magic)
            if self._check_crcs and not batch.validate_crc():
                if self._is_fetched_again(_first_offset(raw)):
                    return
                yield from self._pieces(raw, self._end_of_damaged(raw), "the checksum of its batch is wrong")
                continue
            end: int = batch.next_offset
            if self._has_no_records(batch):
                for offset in range(max(self.next_fetch_offset, _first_offset(raw)), end):
                    self.next_fetch_offset = offset + 1
                    yield EmptyOffset(self._tp.topic, self._tp.partition, offset, batch.max_timestamp, 0)
                continue
            try:
                for record in batch:
                    # A fetch gives whole batches, also when it begins in the middle of one.
                    if record.offset >= self.next_fetch_offset:
                        self.next_fetch_offset = record.offset + 1
                        yield self._consumer_record(self._tp, record)
            except Exception:  # noqa: BLE001 - whatever the bytes of a batch do to its decoder
                yield from self._pieces(raw, end, None)
            # A batch keeps its last offset when compaction has removed its last record.
            self.next_fetch_offset = end

    def _is_fetched_again(self, first: int) -> bool:
        """Whether a batch with a wrong checksum has not been fetched twice."""
        place = *self._tp, first
        if place in self._damaged:
            self._damaged.discard(place)
            return False
        if len(self._damaged) >= _MOST_DAMAGED:
            self._damaged.clear()
        self._damaged.add(place)
        log.warning("damaged_batch_fetched_again", topic=self._tp.topic, partition=self._tp.partition, offset=first)
        return True

    def _has_no_records(self, batch: Any) -> bool:
        """Whether a batch ends a transaction, or is part of an aborted one that is not to be read."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _end_of_damaged(self, raw: memoryview) -> int:
        """The offset after a damaged batch. Its own header may be what is damaged."""
        first = _first_offset(raw)
        following: int | None = self._records.next_first_offset()
        if following is not None and following > first:
            return following
        with contextlib.suppress(Undecodable):
            header = BatchHeader.of(raw)
            if header.last - header.first + 1 == header.records > 0:
                return header.last + 1
        # The next fetch tells more: it gives this batch again, or the one behind it.
        return max(self.next_fetch_offset, first) + 1

    def _pieces(self, raw: memoryview, end: int, doubt: str | None) -> Iterator[Delivered]:
        """Every offset of a batch that is not passed, to below `end`."""
        for piece in pieces_of(raw, self.next_fetch_offset, end, doubt):
            self.next_fetch_offset = piece.offset + 1
            if isinstance(piece, Unparsed):
                topic, partition = self._tp
                yield UnreadableRecord(topic, partition, piece.offset, piece.timestamp, 0, piece.raw, piece.reason)
            else:
                yield ConsumerRecord(
                    *self._tp,
                    piece.offset,
                    piece.timestamp,
                    piece.timestamp_type,
                    piece.key,
                    piece.value,
                    None,
                    -1 if piece.key is None else len(piece.key),
                    -1 if piece.value is None else len(piece.value),
                    piece.headers,
                )


def _first_offset(raw: memoryview) -> int:
    return int.from_bytes(raw[:_LENGTH_AT], "big", signed=True)


def deliver_every_offset() -> None:
    """Let every consumer of aiokafka in this process deliver every offset."""
    if fetcher.MemoryRecords is FetchedBatches:
        return
    fetcher.MemoryRecords = FetchedBatches
    fetcher.PartitionRecords = partial(EveryOffset, damaged=set())
    for module in _USE_CODECS:
        for name, unpack in _CODECS.items():
            setattr(module, name, unpack)
