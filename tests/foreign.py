"""Records as other programs write them: by another client, packed by any codec, in transactions, with odd headers."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c
from confluent_kafka import KafkaError, KafkaException, Producer

from signalflow.kafka.connection import connection_options
from signalflow.settings import Settings

SECONDS = 30.0
CODECS = ("gzip", "snappy", "lz4", "zstd")
# The number of zstd in the message format.
ZSTD = 4
# Where a batch has its codec and its checksum, and what the checksum covers (Kafka's message format v2).
_LENGTH_AT, _CRC_AT, _ATTRIBUTES_AT = 8, 17, 21


class Foreign(NamedTuple):
    """A record for one partition."""

    key: bytes | None
    value: bytes | None
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


class Latin1(str):
    """A header name that aiokafka's builder in Python, not the one in C, writes in Latin-1."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1")


def produce(settings: Settings, topic: str, records: Iterable[Foreign], *, codec: str = "none") -> None:
    """Send records by librdkafka, in few batches, and wait until the brokers have them. Raises KafkaException."""
    # The brokers limit what is packed; librdkafka would limit what is not.
    options = {"compression.type": codec, "linger.ms": 50, "message.max.bytes": 16 << 20}
    producer = Producer({"bootstrap.servers": settings.kafka} | options)
    _send(producer, topic, records)


def transaction(settings: Settings, topic: str, records: Iterable[Foreign], *, name: str, commit: bool) -> None:
    """Send records in one transaction, and commit or abort it."""
    producer = Producer({"bootstrap.servers": settings.kafka, "transactional.id": name, "linger.ms": 50})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    _send(producer, topic, records)
    if commit:
        producer.commit_transaction(SECONDS)
    else:
        producer.abort_transaction(SECONDS)


def _send(producer: Producer, topic: str, records: Iterable[Foreign]) -> None:
    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error)

    for record in records:
        headers = list(record.headers)
        producer.produce(topic, record.value, record.key, record.partition, headers=headers, on_delivery=delivered)
    # What was refused, as a partition that this client does not know yet, is not in the queue either.
    assert producer.flush(SECONDS) == 0
    if refused:
        raise KafkaException(refused[0])


async def produce_in_latin1(settings: Settings, topic: str, records: Iterable[Foreign]) -> None:
    """Send records whose header names are Latin-1, which librdkafka's Python client cannot do."""
    async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
        for record in records:
            batch = producer.create_batch()
            batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 20)
            headers = [(Latin1(name), value) for name, value in record.headers]
            batch.append(key=record.key, value=record.value, timestamp=None, headers=headers)
            await (await producer.send_batch(batch, topic, partition=record.partition))


def damage(log: Path, text: bytes) -> None:
    """Change one byte of the record that holds `text` in a broker's log, as a bad disk does."""
    data = bytearray(log.read_bytes())
    at = data.index(text)
    _overwrite(log, at, bytes([data[at] ^ 0x20]))


def name_unknown_codec(log: Path, text: bytes) -> None:
    """Let the batch that holds `text` name a codec that no client knows. Its checksum is right."""
    _name_codec(log, text, 7)


def claim_zstd(log: Path, text: bytes) -> None:
    """Let the batch that holds `text`, which is not packed, claim to be packed with zstd. Its checksum is right."""
    _name_codec(log, text, ZSTD)


def last_codec(log: Path) -> int:
    """The codec that packed the last batch in a broker's log, by its number in the message format; 0: none."""
    data, begin = log.read_bytes(), 0
    while (end := begin + 12 + struct.unpack_from(">i", data, begin + _LENGTH_AT)[0]) < len(data):
        begin = end
    return data[begin + _ATTRIBUTES_AT + 1] & 7


def _name_codec(log: Path, text: bytes, codec: int) -> None:
    data = bytearray(log.read_bytes())
    begin, wanted = 0, data.index(text)
    while (end := begin + 12 + struct.unpack_from(">i", data, begin + _LENGTH_AT)[0]) <= wanted:
        begin = end
    data[begin + _ATTRIBUTES_AT + 1] |= codec
    crc = calc_crc32c(bytes(data[begin + _ATTRIBUTES_AT : end]))
    struct.pack_into(">I", data, begin + _CRC_AT, crc)
    _overwrite(log, begin + _CRC_AT, bytes(data[begin + _CRC_AT : begin + _ATTRIBUTES_AT + 2]))


def _overwrite(log: Path, at: int, data: bytes) -> None:
    with log.open("r+b") as file:
        file.seek(at)
        file.write(data)
