"""What a client missed, read again from Kafka for it alone."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple
from uuid import UUID

import structlog

from signalflow.errors import Invalid
from signalflow.settings import Settings
from web.live.kafka_log import Cut, open_log
from web.live.records import Record, live_record

log = structlog.get_logger()

READ_RECORDS = 1_000


class OtherTopic(Cut):
    """The topic was deleted and made again."""


class Chunk(NamedTuple):
    """Some records, and the next offsets that will be read."""

    records: list[Record]
    positions: list[int]


async def replay(settings: Settings, topic: UUID, since: Sequence[int], until: Sequence[int]) -> AsyncIterator[Chunk]:
    """The records from `since` to before `until`.

    Raises Cut when some of them are gone, OtherTopic, and Retryable when the brokers are away.
    """
    async with open_log(settings) as kept:
        if kept.topic != topic:
            raise OtherTopic("the topic was made anew")
        # A partition of which nothing is missed may well have forgotten it all.
        starts = [
            max(start, first) if start >= end else start
            for start, first, end in zip(since, kept.first, until, strict=True)
        ]
        if not kept.has(starts):
            raise Cut("the records after the resume token are no longer in the log")
        kept.seek(starts)
        positions = starts
        while any(position < end for position, end in zip(positions, until, strict=True)):
            found = []
            for read in await kept.read(READ_RECORDS):
                if read.offset >= until[read.partition]:
                    continue
                record = decoded(read.partition, read.offset, read.value)
                if record is not None:
                    found.append(record)
            positions = await kept.positions()
            yield Chunk(found, [min(position, end) for position, end in zip(positions, until, strict=True)])


def decoded(partition: int, offset: int, value: bytes | None) -> Record | None:
    """`live_record`; None as well for a record that cannot be decoded, which is logged: there is nobody to send it to."""
    try:
        return None if value is None else live_record(partition, offset, value)
    except Invalid as error:
        log.warning("live_record_invalid", partition=partition, offset=offset, error=str(error))
        return None
