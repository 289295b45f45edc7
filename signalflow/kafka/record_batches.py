"""Takes a record batch apart piece by piece, so that a piece which cannot be read harms no other.

aiokafka reads a batch as a whole: one header name that is not UTF-8, and none of its records is delivered. This module
is the slow way for such batches. The format is Kafka's message format v2, which brokers write since 2017.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cramjam
from typing_extensions import Buffer

# A small batch can unpack to gigabytes. The most that one producer sends at once is far below this.
MOST_UNPACKED_BYTES = 64 << 20
_TOO_LARGE = f"more than {MOST_UNPACKED_BYTES >> 20} MiB when it is unpacked"
_BUFFER_BYTES = (1 << 20, 8 << 20, MOST_UNPACKED_BYTES)
# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and newest timestamp, producer id,
# producer epoch, sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
# Some records hold no more bytes than these: length, attributes, time, offset, key, value, number of headers.
_LEAST_RECORD_BYTES = 7

Headers = tuple[tuple[str, bytes | None], ...]


class Undecodable(Exception):
    """Bytes that are not what the message format says."""


class Parsed(NamedTuple):
    """A record of a batch. `timestamp_type`: 0 the producer's time, 1 the broker's."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Unparsed(NamedTuple):
    """An offset whose record cannot be read: the newest time of its batch, the bytes that are there, and why."""

    offset: int
    timestamp: int
    raw: bytes
    reason: str


@dataclass(frozen=True)
class BatchHeader:
    """What the first bytes of a batch say."""

    first: int
    last: int
    records: int
    codec: int
    timestamp_type: int
    first_timestamp: int
    newest_timestamp: int

    @classmethod
    def of(cls, batch: memoryview) -> "BatchHeader":
        """Raises Undecodable when there are too few bytes."""
        if len(batch) < _HEADER.size:
            raise Undecodable(f"a batch of {len(batch)} bytes")
        base, _, _, _, _, attributes, last_delta, first_time, newest_time, *_, records = _HEADER.unpack_from(batch)
        return cls(
            first=base,
            last=base + last_delta,
            records=records,
            codec=attributes & _CODEC,
            timestamp_type=int(bool(attributes & _LOG_APPEND_TIME)),
            first_timestamp=first_time,
            newest_timestamp=newest_time,
        )


def pieces_of(batch: memoryview, first: int, end: int, doubt: str | None) -> Iterator[Parsed | Unparsed]:
    """Every offset from `first` to below `end` of a batch, with its record or the bytes that are there.

    `doubt`: why the batch's bytes are not those that its producer sent; then no record of it is believed.
    """
    try:
        header = BatchHeader.of(batch)
    except Undecodable as error:
        yield Unparsed(first, 0, bytes(batch), f"{doubt or 'its batch'}: {error}")
        return
    raw = batch[_HEADER.size :]
    try:
        unpacked = _unpacked(header.codec, raw)
    except Undecodable as error:
        # The first offset gets the packed bytes of all.
        records, doubt = [bytes(raw)], f"{doubt or 'its batch cannot be unpacked'}: {error}"
    else:
        records = list(_split(unpacked, header.records, end - header.first))
    for offset in range(max(first, header.first), end):
        index = offset - header.first
        record = records[index] if index < len(records) else b""
        if doubt is not None:
            yield Unparsed(offset, header.newest_timestamp, record, doubt)
            continue
        try:
            yield _parsed(record, offset, header)
        except Undecodable as error:
            yield Unparsed(offset, header.newest_timestamp, record, str(error))


def _split(unpacked: bytes, count: int, most: int) -> Iterator[bytes]:
    """The records of a batch, each without its length. The rest of the batch is one piece once a length is wrong."""
    at = 0
    for _ in range(min(count, most)):
        if at >= len(unpacked):
            return
        try:
            length, begin = _varint(unpacked, at)
        except Undecodable:
            length, begin = -1, at
        if length < _LEAST_RECORD_BYTES - 1 or begin + length > len(unpacked):
            yield unpacked[at:]
            return
        at = begin + length
        yield unpacked[begin:at]


def _parsed(record: bytes, offset: int, header: BatchHeader) -> Parsed:
    """Raises Undecodable. Bytes of a header's name that are no UTF-8 are written as `\\xff`."""
    if not record:
        raise Undecodable("the batch ends before this record")
    _, at = _varint(record, 0)  # attributes, which no version uses
    time_delta, at = _varint(record, at)
    _, at = _varint(record, at)  # the offset, which brokers have checked: records of a batch are consecutive
    key, at = _bytes(record, at)
    value, at = _bytes(record, at)
    count, at = _varint(record, at)
    if not 0 <= count <= len(record):
        raise Undecodable(f"a record with {count} headers")
    headers = []
    for _ in range(count):
        name, at = _bytes(record, at)
        if name is None:
            raise Undecodable("a header without a name")
        content, at = _bytes(record, at)
        headers.append((name.decode("utf-8", "backslashreplace"), content))
    if at != len(record):
        raise Undecodable(f"{len(record) - at} bytes after the last header")
    is_brokers_time = header.timestamp_type == 1
    timestamp = header.newest_timestamp if is_brokers_time else header.first_timestamp + time_delta
    return Parsed(offset, timestamp, header.timestamp_type, key, value, tuple(headers))


def _bytes(record: bytes, at: int) -> tuple[bytes | None, int]:
    """A field that begins with its length, and where the next one begins. None for a length below 0."""
    length, at = _varint(record, at)
    if length < 0:
        return None, at
    if at + length > len(record):
        raise Undecodable(f"a field of {length} bytes where {len(record) - at} are left")
    return record[at : at + length], at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in zigzag encoding of variable length, and where the next field begins."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Undecodable("a number without an end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _unpacked(codec: int, raw: memoryview) -> bytes:
    """The records of a batch after decompression. Raises Undecodable."""
    match codec:
        case 0:
            return bytes(raw)
        case 1:
            return unpack_gzip(raw)
        case 2:
            return unpack_snappy(raw)
        case 3:
            return unpack_lz4(raw)
        case 4:
            return unpack_zstd(raw)
    raise Undecodable(f"nobody knows the codec {codec}")


def unpack_gzip(raw: Buffer) -> bytes:
    """The data of a gzip stream. Raises Undecodable, also above MOST_UNPACKED_BYTES; so do the other three."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            unpacked = stream.read(MOST_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise Undecodable(f"gzip: {type(error).__name__}: {error}") from error
    if len(unpacked) > MOST_UNPACKED_BYTES:
        raise Undecodable(_TOO_LARGE)
    return unpacked


def unpack_zstd(raw: Buffer) -> bytes:
    """The data of zstd frames."""
    return _unpacked_into(cramjam.zstd.decompress_into, raw)


def unpack_lz4(raw: Buffer) -> bytes:
    """The data of an lz4 frame."""
    return _unpacked_into(cramjam.lz4.decompress_into, raw)


def unpack_snappy(raw: Buffer) -> bytes:
    """The data of a snappy block, or of the framing that Java producers use: blocks with their lengths before them."""
    data = bytes(raw)
    if not data.startswith(_XERIAL):
        return _snappy_block(data)
    blocks, size, at = [], 0, _XERIAL_HEADER_BYTES
    while at < len(data):
        if at + 4 > len(data):
            raise Undecodable("snappy: the last block has no length")
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        blocks.append(_snappy_block(data[at : at + length]))
        at += length
        size += len(blocks[-1])
        if size > MOST_UNPACKED_BYTES:
            raise Undecodable(_TOO_LARGE)
    return b"".join(blocks)


def _snappy_block(data: bytes) -> bytes:
    try:
        if cramjam.snappy.decompress_raw_len(data) > MOST_UNPACKED_BYTES:
            raise Undecodable(_TOO_LARGE)
        return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as error:
        raise Undecodable(f"snappy: {error}") from error


def _unpacked_into(unpack: Callable[[Buffer, bytearray], int], raw: Buffer) -> bytes:
    """Unpack into a buffer that grows, because cramjam itself knows no limit."""
    for size in _BUFFER_BYTES:
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: unpack(raw, buffer)])
        except cramjam.DecompressionError as error:
            # It says in the same way that the data are damaged and that the buffer is too small.
            failure = error
    raise Undecodable(f"damaged, or {_TOO_LARGE}: {failure}") from failure
