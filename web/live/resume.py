"""Clients that resume: decides whether a client can, and reads what it missed from Kafka, for each client alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import structlog

from signalflow.domain.backoff import WHILE_AWAY
from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.kafka.reader import OffsetGone
from signalflow.settings import Settings
from web.live.fanout import MOST_POSTS_A_FRAME, Fanout
from web.live.frame_queue import FrameQueue
from web.live.kafka_log import open_log
from web.live.kinds import POSTS, Kind
from web.live.protocol import ResetReason
from web.live.records import LiveRecord
from web.live.token import ResumeToken

log = structlog.get_logger()

READ_RECORDS = 1_000
# How many clients get records from Kafka at the same time. Each costs a consumer, and time to decode.
RESUMES_AT_ONCE = 2
# Another API process may have sent a client offsets that this one has not read yet. The client waits this long.
AHEAD_SECONDS = 5.0


class TopicRecreated(OffsetGone):
    """The topic was deleted and created again."""


class MissedRecords(NamedTuple):
    """Some of the records that a client missed, and the next offsets that will be read."""

    records: list[LiveRecord]
    offsets: list[int]


class Resumes:
    """The clients of one process that resume. `news` is called when a client was offered records."""

    def __init__(self, settings: Settings, news: Callable[[], None], kind: Kind = POSTS) -> None:
        self._settings, self._kind = settings, kind
        self._news = news
        self._at_once = asyncio.Semaphore(RESUMES_AT_ONCE)

    async def obstacle(
        self, fanout: Fanout, since: ResumeToken, next_tick: Callable[[], Awaitable[None]]
    ) -> ResetReason | None:
        """Why a client cannot resume from its token; None when it can, as far as can be told without Kafka."""
        if since.topic != fanout.topic or len(since.offsets) != len(fanout.told):
            return "other_topic"
        try:
            async with asyncio.timeout(AHEAD_SECONDS):
                while any(offset > told for offset, told in zip(since.offsets, fanout.told, strict=True)):
                    await next_tick()
        except TimeoutError:
            return "ahead"
        missed = sum(told - offset for offset, told in zip(since.offsets, fanout.told, strict=True))
        return "too_far" if missed > self._settings.live_resume_records else None

    async def resume(self, fanout: Fanout, queue: FrameQueue, until: Sequence[int]) -> None:
        """Offer a client the records before `until` that it missed, as fast as it takes them."""
        async with self._at_once:
            reason = await self._offer_all_missed(fanout, queue, until)
        fanout.finish_resuming(queue.client)
        if reason:
            queue.deliver(fanout.reset(queue.client, reason))
        self._news()

    async def _offer_all_missed(self, fanout: Fanout, queue: FrameQueue, until: Sequence[int]) -> ResetReason | None:
        """Offer the records; returns why the client cannot have them, None when all were offered.

        Tries again while the brokers are away or refuse: an operator may mend the settings or the ACLs of the brokers.
        """
        failures = 0
        while True:
            try:
                await self._offer_missed(fanout, queue, until)
                return None
            except TopicRecreated:
                return "other_topic"
            except OffsetGone:
                return "expired"
            except (Retryable, Fatal) as error:
                if not failures:
                    log.warning("live_resume_waits", error=str(error))
            failures += 1
            await asyncio.sleep(WHILE_AWAY.after(failures))

    async def _offer_missed(self, fanout: Fanout, queue: FrameQueue, until: Sequence[int]) -> None:
        """Offer the records that were not offered yet. Raises OffsetGone when some of them are gone."""
        client = queue.client
        assert client.resumed_to is not None
        async for missed in missed_records(self._settings, self._kind, fanout.topic, client.resumed_to, until):
            fanout.offer_missed(client, missed.records, missed.offsets)
            self._news()
            while len(client.backlog) >= MOST_POSTS_A_FRAME:
                await queue.accepted()


async def missed_records(
    settings: Settings, kind: Kind, topic: UUID, since: Sequence[int], until: Sequence[int]
) -> AsyncIterator[MissedRecords]:
    """The records from `since` to before `until`.

    Raises OffsetGone when some of them are gone, TopicRecreated, and Retryable when the brokers are away.
    """
    async with open_log(settings, kind.topic(settings)) as opened:
        if opened.topic != topic:
            raise TopicRecreated("the topic was deleted and created again")
        # A partition in which the client missed nothing may have lost all its records.
        starts = [
            max(start, first) if start >= end else start
            for start, first, end in zip(since, opened.first, until, strict=True)
        ]
        if not opened.has(starts):
            raise OffsetGone("the records after the resume token are no longer in the log")
        opened.seek(starts)
        offsets = starts
        while any(offset < end for offset, end in zip(offsets, until, strict=True)):
            found = []
            for read in await opened.read(READ_RECORDS):
                if read.offset >= until[read.partition]:
                    continue
                record = decoded(kind, read.partition, read.offset, read.value)
                if record is not None:
                    found.append(record)
            offsets = await opened.offsets()
            yield MissedRecords(found, [min(offset, end) for offset, end in zip(offsets, until, strict=True)])


def decoded(kind: Kind, partition: int, offset: int, value: bytes | None) -> LiveRecord | None:
    """As `kind.record`, but a record that cannot be decoded is logged, and no client gets it."""
    try:
        return None if value is None else kind.record(partition, offset, value)
    except Invalid as error:
        log.warning("live_record_invalid", kind=kind.name, partition=partition, offset=offset, error=str(error))
        return None
