"""One kind of the live stream of an API process: reads its topic, ticks, and keeps its clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime

import structlog
from msgspec import Struct

from signalflow.clock import utcnow
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.reader import OffsetGone
from signalflow.metrics import LIVE_ENDED
from signalflow.settings import Settings
from web.live.admission import Admission, NotAdmitted
from web.live.clients import Client, Limits
from web.live.fanout import MOST_POSTS_A_FRAME, Fanout
from web.live.frame_queue import Ending, FrameQueue
from web.live.kafka_log import LiveLog, open_log, topic_now
from web.live.kinds import POSTS, Kind
from web.live.resume import Resumes, decoded
from web.live.token import ResumeToken

log = structlog.get_logger()

# After this long without a record, the hub asks the brokers whether they are there and still have the same topic.
PROBE_SECONDS = 2.0
# While records come, it asks this often whether the topic is the same and has no more partitions.
TOPIC_CHECK_SECONDS = 30.0
# How often the lag is measured, while reading and while there is no room to read.
LAG_SECONDS = 2.0
# Without news the hub ticks this often: for heartbeats, and to find clients that stall.
IDLE_SECONDS = 0.25
# Clients get this long to read why their connection ends.
GOODBYE_SECONDS = 1.0
# A task that was cancelled and still runs is cancelled again after this time.
CANCEL_AGAIN_SECONDS = 0.5
_RESTART = Ending("restart", "the server restarts; come back with the last id")


class Hub:
    """One per process and kind. A client is admitted, then joins, and leaves when its connection ends."""

    def __init__(
        self,
        settings: Settings,
        kind: Kind = POSTS,
        admission: Admission | None = None,
        on_removal: Callable[[str, datetime], None] = lambda id_, seen_at: None,
    ) -> None:
        """`admission` counts clients; the hubs of a process share one.

        `on_removal` is called with the id of what was taken away, and the moment at which that was seen.
        """
        self._settings, self.kind, self._on_removal = settings, kind, on_removal
        self._meters = kind.meters
        self._limits = Limits(
            waiting_posts=settings.live_waiting_posts,
            stall_seconds=settings.live_stall_seconds,
            heartbeat_seconds=settings.live_heartbeat_seconds,
        )
        self._fanout: Fanout | None = None
        self._queues: dict[Client, FrameQueue] = {}
        self._admission = admission or Admission(settings.live_clients, settings.live_clients_per_user)
        self._news = asyncio.Event()
        self._ticked = asyncio.Event()
        self._resumes = Resumes(settings, self._news.set, kind)
        self._closing = False
        self.stale_since: datetime | None = utcnow()
        self._logged_reasons: set[str] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read and tick while inside; at the end all connections end."""
        self._meters.stale.set(self.stale_since is not None)
        tasks = [asyncio.create_task(self._read_log()), asyncio.create_task(self._tick_repeatedly())]
        try:
            yield
        finally:
            self.close()
            # Kafka's client waits with asyncio.wait_for. Before Python 3.12 this loses a cancellation that comes at the
            # moment in which the answer does, and the task would go on for ever.
            while left := [task for task in tasks if not task.done()]:
                for task in left:
                    task.cancel()
                await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Admit no more clients and end all connections, because the process stops."""
        self._closing = True
        self._end_all(_RESTART)

    async def closed(self) -> None:
        """Wait until all clients have left, for GOODBYE_SECONDS at most."""
        end = asyncio.get_running_loop().time() + GOODBYE_SECONDS
        while self._admission.clients and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)

    # --- clients

    def admitted(self, user: str) -> AbstractContextManager[None]:
        """Count a client of this user while inside. Raises NotAdmitted above a limit, and until Kafka has answered."""
        if self._closing or self._fanout is None:
            raise NotAdmitted(
                503, "The live stream is not there yet: Kafka has not answered. Try again in some seconds."
            )
        return self._admission.admitted(user)

    @asynccontextmanager
    async def joined(self, wanted: Struct, since: ResumeToken | None) -> AsyncIterator[FrameQueue]:
        """The frames of an admitted client. The first is a heartbeat, or a reset when it cannot resume from `since`."""
        assert self._fanout is not None
        reason = None if since is None else await self._resumes.obstacle(self._fanout, since, self._next_tick)
        # The log may have been replaced while the client waited.
        fanout = self._fanout
        if since is not None and since.topic != fanout.topic:
            reason = "other_topic"
        offsets = None if since is None or reason else since.offsets
        client = fanout.join(wanted, self._now(), offsets)
        queue = self._queues[client] = FrameQueue(client, self._on_ready)
        queue.deliver(fanout.reset(client, reason) if reason else fanout.heartbeat(client))
        if self._closing:
            queue.end(_RESTART)
        resuming = None
        if client.resumed_to is not None:
            resuming = asyncio.create_task(self._resumes.resume(fanout, queue, fanout.told.copy()))
        try:
            yield queue
        finally:
            if resuming is not None:
                resuming.cancel()
            del self._queues[client]
            fanout.leave(client)

    def change(self, queue: FrameQueue, wanted: Struct) -> None:
        """Replace a client's filter. The `id` of the next heartbeat tells the client from where on it applies."""
        fanout, client = self._fanout, queue.client
        if fanout is None or client not in self._queues or queue.ended.done():
            return
        fanout.change(client, wanted)
        queue.deliver(fanout.heartbeat(client))

    # --- reading

    async def _read_log(self) -> None:
        """Read the topic for ever. When the brokers come back, reading goes on where it stopped."""
        failures = 0
        while True:
            try:
                async with open_log(self._settings, self.kind.topic(self._settings)) as opened:
                    fanout = await self._adopt(opened)
                    self._end_staleness()
                    failures = 0
                    await self._follow(opened, fanout)
            except (Retryable, Fatal) as error:
                self._stay_stale(error)
            except Exception as error:
                # Go on after any error: without this task the stream would be silent for ever.
                log.exception("live_reader_failed")
                self._stay_stale(error)
            failures += 1
            await asyncio.sleep(WHILE_AWAY.after(failures))

    async def _adopt(self, opened: LiveLog) -> Fanout:
        """Go on from the offsets that were read. In a log without them, begin with a new fan-out at the end."""
        fanout = self._fanout
        if fanout is not None and opened.topic == fanout.topic and opened.has(fanout.read):
            opened.seek(fanout.read)
            return fanout
        if fanout is not None:
            log.warning("live_log_changed", kind=self.kind.name, topic=str(opened.topic))
            self._end_all(Ending("restart", "the log was cut or made anew; come back with the last id"))
        each = max(self._settings.live_tail_records // len(opened.end), 1)
        starts = [max(first, end - each) for first, end in zip(opened.first, opened.end, strict=True)]
        opened.seek(starts)
        fanout = Fanout(opened.topic, starts, self._limits, self._settings.live_tail_records, self.kind)
        while any(offset < end for offset, end in zip(await opened.offsets(), opened.end, strict=True)):
            await self._take(opened, fanout, MOST_POSTS_A_FRAME)
        fanout.finish_priming()
        self._fanout = fanout
        return fanout

    async def _follow(self, opened: LiveLog, fanout: Fanout) -> None:
        """Read records as they come. Raises Retryable when the brokers do not answer."""
        heard = checked = measured = self._now()
        while True:
            if self._now() - measured > LAG_SECONDS:
                self._meters.lag.set(sum(await opened.ends()) - sum(fanout.read))
                measured = self._now()
            if self._now() - checked > TOPIC_CHECK_SECONDS:
                await self._check_topic(fanout)
                checked = self._now()
            if not fanout.room:
                await self._next_tick()
            elif await self._take(opened, fanout, fanout.room):
                heard = self._now()
                self._news.set()
            elif self._now() - heard > PROBE_SECONDS:
                await self._check_topic(fanout)
                if await opened.ends() != fanout.read and not await self._take(opened, fanout, fanout.room):
                    raise Retryable("there are records that the consumer does not get")
                heard = self._now()

    async def _check_topic(self, fanout: Fanout) -> None:
        """Raises OffsetGone when the topic is another one or has more partitions, Retryable without an answer."""
        topic = await topic_now(self._settings, self.kind.topic(self._settings))
        if topic.id != fanout.topic:
            raise OffsetGone("the topic was made anew")
        if topic.partitions != len(fanout.read):
            raise OffsetGone(f"the topic has {topic.partitions} partitions now")

    async def _take(self, opened: LiveLog, fanout: Fanout, most: int) -> int:
        """Read records into the fan-out; returns how many."""
        records = await opened.read(most)
        for record in records:
            found = decoded(self.kind, record.partition, record.offset, record.value)
            fanout.take(record.partition, record.offset, found)
            if found is not None and found.is_removal:
                self._on_removal(found.id, found.observed_at)
        self._meters.records.inc(len(records))
        return len(records)

    def _end_staleness(self) -> None:
        if self.stale_since is not None:
            log.info("live_reading", kind=self.kind.name, since=self.stale_since.isoformat())
        self._logged_reasons.clear()
        self._set_stale_since(None)

    def _stay_stale(self, error: Exception) -> None:
        """Begin to be stale, or go on. Each reason is logged once until the stream reads again."""
        reason = str(error)
        if reason not in self._logged_reasons:
            self._logged_reasons.add(reason)
            log.warning("live_stale", kind=self.kind.name, error=reason)
        if self.stale_since is None:
            self._set_stale_since(utcnow())

    def _set_stale_since(self, since: datetime | None) -> None:
        self.stale_since = since
        self._meters.stale.set(since is not None)
        if self._fanout is not None and self._fanout.stale_since != since:
            self._fanout.stale_since = since
            self._fanout.beat_soon()
            self._news.set()

    # --- ticking

    async def _tick_repeatedly(self) -> None:
        """Tick when there is news, once each `live_frame_ms` at most, and every IDLE_SECONDS without."""
        pause = self._settings.live_frame_ms / 1000
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            began = self._now()
            if self._fanout is not None:
                self._tick(self._fanout, began)
            await asyncio.sleep(max(began + pause - self._now(), 0))

    def _tick(self, fanout: Fanout, now: float) -> None:
        result = fanout.tick(now)
        for client, frame in result.frames:
            self._queues[client].deliver(frame)
        self._meters.sent.inc(sum(frame.records for _, frame in result.frames))
        self._meters.coalesced.inc(result.coalesced)
        for client in result.slow:
            self._end(self._queues[client], Ending("slow", "too slow for the stream; come back with the last id"))
        # Whoever waits for this tick waits for the old event, which the end of this tick sets.
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()

    async def _next_tick(self) -> None:
        await self._ticked.wait()

    def _on_ready(self, client: Client) -> None:
        if client.backlog:
            self._news.set()

    def _end_all(self, ending: Ending) -> None:
        for queue in self._queues.values():
            self._end(queue, ending)

    @staticmethod
    def _end(queue: FrameQueue, ending: Ending) -> None:
        if not queue.ended.done():
            LIVE_ENDED.labels(code=ending.code).inc()
            queue.end(ending)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
