"""Every offset of a fetched partition is delivered, whatever its batches hold."""

import gzip
import random
import struct
from typing import Any

import cramjam
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from signalflow.kafka.every_offset import EveryOffset, FetchedBatches
from signalflow.kafka.record_batches import MOST_UNPACKED_BYTES, Parsed, Unparsed, pieces_of
from signalflow.kafka.records import EmptyOffset, UnreadableRecord
from tests.foreign import Latin1

TP = TopicPartition("raw", 3)
TIME = 1_790_000_000_000
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
_CRC_AT, _ATTRIBUTES_AT, _RECORDS_AT = 17, 21, 61
_TRANSACTIONAL, _CONTROL = 0x10, 0x20

Given = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def batch(first: int, records: list[Given], codec: int = 0, flags: int = 0, producer: int = -1) -> bytes:
    """A batch as brokers send it."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 20)
    for index, (key, value, headers) in enumerate(records):
        builder.append(index, TIME + index, key, value, headers)
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, first)
    made[_ATTRIBUTES_AT + 1] |= flags
    struct.pack_into(">q", made, 43, producer)
    return sealed(made)


def sealed(data: bytearray) -> bytes:
    """The batch with the checksum that belongs to its bytes."""
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))
    return bytes(data)


def values(*texts: bytes) -> list[Given]:
    return [(b"k", text, []) for text in texts]


class Partition:
    """What consumers get of one partition; a fetch begins at the offset that was reached."""

    def __init__(self, *batches: bytes, aborted: tuple[tuple[int, int], ...] = (), committed_only: bool = True) -> None:
        self._batches, self._aborted = batches, aborted
        self._isolation = READ_COMMITTED if committed_only else READ_UNCOMMITTED
        self._damaged: set[Any] = set()
        self.offset = 0

    def fetch(self) -> list[Any]:
        """The records of one answer: from the batch that holds the next offset."""
        ends = [DefaultRecordBatch(each).next_offset for each in self._batches]
        rest = b"".join(each for each, end in zip(self._batches, ends, strict=True) if end > self.offset)
        fetched = EveryOffset(
            TP, FetchedBatches(rest), self._aborted, self.offset, None, None, True, self._isolation,
            damaged=self._damaged,
        )  # fmt: skip
        delivered = list(fetched)
        self.offset = fetched.next_fetch_offset
        return delivered


def shown(delivered: list[Any]) -> list[Any]:
    """Values of records; None for an empty offset; a reason for an unreadable one."""
    assert [each.offset for each in delivered] == list(range(delivered[0].offset, delivered[-1].offset + 1))
    return [
        each.reason if isinstance(each, UnreadableRecord) else None if isinstance(each, EmptyOffset) else each.value
        for each in delivered
    ]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_the_slow_way_finds_the_records_that_aiokafka_finds(codec: int) -> None:
    rnd = random.Random(codec)
    records: list[Given] = [
        (
            rnd.choice([None, b"", rnd.randbytes(rnd.randrange(200))]),
            rnd.choice([None, b"", b"a" * rnd.randrange(3_000), rnd.randbytes(rnd.randrange(3_000))]),
            [("näme" * rnd.randrange(3), rnd.choice([None, b"", b"x" * 300])) for _ in range(rnd.randrange(4))],
        )
        for _ in range(100)
    ]
    data = batch(1_000, records, codec)
    expected = [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in DefaultRecordBatch(data)]
    pieces = list(pieces_of(memoryview(data), 0, 1_100, None))
    assert [(p.offset, p.timestamp, p.key, p.value, p.headers) for p in pieces if isinstance(p, Parsed)] == expected


@pytest.mark.slow
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(CODECS.values())))
def test_whatever_a_disk_does_to_a_batch_each_of_its_offsets_comes_once(rnd: random.Random, codec: int) -> None:
    data = bytearray(batch(10, [(b"k", rnd.randbytes(20), [("h", b"v")]) for _ in range(5)], codec))
    for _ in range(rnd.randint(1, 4)):
        data[rnd.randrange(_RECORDS_AT, len(data))] = rnd.randrange(256)
    for doubt in (None, "damaged"):
        pieces = list(pieces_of(memoryview(bytes(data)), 0, 15, doubt))
        assert [piece.offset for piece in pieces] == [10, 11, 12, 13, 14]
        assert doubt is None or all(isinstance(piece, Unparsed) for piece in pieces)


def test_a_header_name_that_is_not_utf_8_is_shown_as_text_and_its_batch_is_read() -> None:
    odd: list[Given] = [(b"k", b"odd", [(Latin1("café"), b"1")])]
    partition = Partition(batch(0, [*values(b"a"), *odd, *values(b"b")]), batch(3, values(b"c")))
    delivered = partition.fetch()
    assert shown(delivered) == [b"a", b"odd", b"b", b"c"]
    assert delivered[1].headers == (("caf\\xe9", b"1"),)
    assert delivered[1].timestamp == TIME + 1
    assert all(isinstance(each, ConsumerRecord) for each in delivered)


def test_a_damaged_batch_is_fetched_again_before_its_records_are_given_up() -> None:
    whole = batch(2, values(b"d", b"e", b"f"))
    damaged = bytearray(whole)
    damaged[-3] ^= 1
    before, after = batch(0, values(b"a", b"b")), batch(5, values(b"g"))
    on_its_way = Partition(before, bytes(damaged), after)
    assert shown(on_its_way.fetch()) == [b"a", b"b"]
    on_its_way._batches = (before, whole, after)
    assert shown(on_its_way.fetch()) == [b"d", b"e", b"f", b"g"], "damaged on its way"
    on_disk = Partition(before, bytes(damaged), after)
    assert shown(on_disk.fetch()) == [b"a", b"b"]
    delivered = on_disk.fetch()
    reason = "the checksum of its batch is wrong"
    assert shown(delivered) == [reason, reason, reason, b"g"]
    assert b"d" in delivered[0].value, "the bytes that are there"


def test_a_batch_whose_damaged_header_claims_more_offsets_ends_where_the_next_one_begins() -> None:
    damaged = bytearray(batch(0, values(b"a", b"b")))
    damaged[24] ^= 1  # a high byte of the last offset
    partition = Partition(bytes(damaged), batch(2, values(b"c")))
    assert partition.fetch() == []
    reason = "the checksum of its batch is wrong"
    assert shown(partition.fetch()) == [reason, reason, b"c"]


@pytest.mark.parametrize("magic", [0, 1, 2])
def test_a_batch_that_is_shorter_than_its_header_is_not_given_to_a_decoder(magic: int) -> None:
    short = bytearray(batch(0, values(b"a"))[:25])
    struct.pack_into(">i", short, 8, len(short) - 12)
    short[16] = magic
    fetched = FetchedBatches(bytes(short) + batch(1, values(b"b")))
    records = list(EveryOffset(TP, fetched, (), 0, None, None, True, READ_COMMITTED, damaged=set()))
    first, second = shown(records)
    assert "shorter than its header" in first
    assert second == b"b"


def test_a_codec_that_nobody_knows_costs_its_batch_alone() -> None:
    strange = sealed(bytearray(batch(1, values(b"b", b"c"), flags=7)))
    delivered = Partition(batch(0, values(b"a")), strange, batch(3, values(b"d"))).fetch()
    reason = "its batch cannot be unpacked: nobody knows the codec 7"
    assert shown(delivered) == [b"a", reason, reason, b"d"]
    assert b"c" in delivered[1].value


def test_a_record_that_is_malformed_costs_no_other() -> None:
    data = bytearray(batch(0, values(b"aaaa", b"bbbb", b"cccc")))
    at = data.index(b"bbbb") - 1
    data[at] = 0x7E  # the length of the second value
    delivered = Partition(sealed(data)).fetch()
    assert shown(delivered) == [b"aaaa", "a field of 63 bytes where 5 are left", b"cccc"]
    assert b"bbbb" in delivered[1].value


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd", "snappy"])
def test_a_small_batch_that_unpacks_to_gigabytes_is_not_unpacked(codec: str) -> None:
    zeros = bytes(MOST_UNPACKED_BYTES + 1)
    packed = {
        "gzip": lambda: gzip.compress(zeros, 1),
        "lz4": lambda: bytes(cramjam.lz4.compress(zeros)),
        "zstd": lambda: bytes(cramjam.zstd.compress(zeros)),
        "snappy": lambda: bytes(cramjam.snappy.compress_raw(zeros)),
    }[codec]()
    header = bytearray(batch(0, values(b"a"), flags=CODECS[codec])[:_RECORDS_AT])
    struct.pack_into(">i", header, 8, len(header) + len(packed) - 12)
    delivered = Partition(sealed(header + packed), batch(1, values(b"b"))).fetch()
    bomb, good = shown(delivered)
    assert "more than 64 MiB" in bomb
    assert good == b"b"


def test_transactions_leave_no_hole_and_aborted_records_are_not_delivered() -> None:
    def marker(first: int, producer: int, kind: int) -> bytes:
        key = struct.pack(">hh", 0, kind)
        return batch(first, [(key, b"\0" * 6, [])], flags=_TRANSACTIONAL | _CONTROL, producer=producer)

    log = (
        batch(0, values(b"a", b"b"), flags=_TRANSACTIONAL, producer=7),
        batch(2, values(b"x", b"y"), flags=_TRANSACTIONAL, producer=8),
        batch(4, values(b"c")),
        marker(5, 8, 0),
        marker(6, 7, 1),
        batch(7, values(b"z"), flags=_TRANSACTIONAL, producer=8),
        marker(8, 8, 1),
    )
    aborted = ((8, 2),)
    committed = shown(Partition(*log, aborted=aborted).fetch())
    assert committed == [b"a", b"b", None, None, b"c", None, None, b"z", None]
    everything = shown(Partition(*log, aborted=aborted, committed_only=False).fetch())
    assert everything == [b"a", b"b", b"x", b"y", b"c", None, None, b"z", None]


def test_a_fetch_in_the_middle_of_a_batch_delivers_nothing_twice() -> None:
    for records in (values(b"a", b"b", b"c"), [(b"k", b"a", [(Latin1("é"), b"")]), *values(b"b", b"c")]):
        partition = Partition(batch(0, records))
        partition.offset = 1
        assert shown(partition.fetch()) == [b"b", b"c"]


def test_an_answer_whose_last_batch_is_cut_ends_before_it() -> None:
    whole, cut = batch(0, values(b"a")), batch(1, values(b"b" * 100))
    for length in (1, 11, 17, 60, len(cut) - 1):
        batches = FetchedBatches(whole + cut[:length])
        assert batches.has_next()
        assert bytes(batches.next_batch()) == whole
        assert not batches.has_next()
    assert not FetchedBatches(None).has_next()
