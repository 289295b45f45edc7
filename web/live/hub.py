"""The live stream of one API process: reads the log, ticks, and keeps its clients."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime

import structlog

from signalflow.clock import utcnow
from signalflow.errors import Fatal, Retryable
from signalflow.metrics import LIVE_ENDED, LIVE_POSTS_SENT, LIVE_RECORDS, LIVE_STALE
from signalflow.settings import Settings
from web.live.connection import Connection, Ending
from web.live.fanout import MOST_POSTS_A_FRAME, Client, Fanout, Limits
from web.live.kafka_log import Cut, Log, open_log, topic_id
from web.live.places import Places, Refused
from web.live.protocol import ErrorCode, Filter, ResetReason
from web.live.resume import OtherTopic, decoded, replay
from web.live.token import Token

log = structlog.get_logger()

RETRY_SECONDS = 1.0
# After so long without a record the brokers are asked whether they are there, and have the same topic.
PROBE_SECONDS = 2.0
# Without news the hub ticks so often: for heartbeats, and to find clients that stall.
IDLE_SECONDS = 0.25
# Clients that miss more than the tail holds are served so many at once; each takes a consumer and a decoder's time.
REPLAYS_AT_ONCE = 2
# Another API process may have told a client more than this one has read; it gets so long to read it too.
AHEAD_SECONDS = 5.0
# Clients get so long to hear why their connection ends.
GOODBYE_SECONDS = 1.0


class Hub:
    """One per process. Clients are admitted first, then join, and leave when their connection ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = Limits(
            waiting_posts=settings.live_waiting_posts,
            stall_seconds=settings.live_stall_seconds,
            heartbeat_seconds=settings.live_heartbeat_seconds,
        )
        self._fanout: Fanout | None = None
        self._connections: dict[Client, Connection] = {}
        self._places = Places(settings.live_clients, settings.live_clients_per_user)
        self._news = asyncio.Event()
        self._ticked = asyncio.Event()
        self._replays = asyncio.Semaphore(REPLAYS_AT_ONCE)
        self._closing = False
        self.stale_since: datetime | None = utcnow()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read and tick while inside; all connections end at the end."""
        LIVE_STALE.set(self.stale_since is not None)
        tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._beat())]
        try:
            yield
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Admit nobody more and end all connections: the process stops."""
        self._closing = True
        self._end_all("restart", "the server restarts; come back with the last id")

    async def closed(self) -> None:
        """Wait until all clients have left, for GOODBYE_SECONDS at most."""
        end = asyncio.get_running_loop().time() + GOODBYE_SECONDS
        while self._places.total and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)

    # --- clients

    def admitted(self, user: str) -> AbstractContextManager[None]:
        """A place for one client. Raises Refused when there is none, or nothing to tell yet."""
        if self._closing or self._fanout is None:
            raise Refused(503, "The live stream is not there yet: Kafka has not answered. Try again in some seconds.")
        return self._places.taken(user)

    @asynccontextmanager
    async def joined(self, wanted: Filter, since: Token | None) -> AsyncIterator[Connection]:
        """The connection of an admitted client. Its first frame is a heartbeat, or a reset when `since` cannot be continued."""
        reason = None if since is None else await self._obstacle(since)
        fanout = self._fanout
        assert fanout is not None
        if since is not None and since.topic != fanout.topic:
            reason = "other_topic"
        offsets = None if since is None or reason else since.offsets
        client = fanout.join(wanted, self._now(), offsets)
        connection = self._connections[client] = Connection(client, self._on_ready)
        connection.deliver(fanout.reset(client, reason) if reason else fanout.heartbeat(client))
        if self._closing:
            connection.end(Ending("restart", "the server restarts; come back with the last id"))
        missed = None
        if client.replayed_to is not None:
            missed = asyncio.create_task(self._replay(fanout, connection, fanout.told.copy()))
        try:
            yield connection
        finally:
            if missed is not None:
                missed.cancel()
            del self._connections[client]
            fanout.leave(client)

    def change(self, connection: Connection, wanted: Filter) -> None:
        """Replace a client's filter. The heartbeat that follows says that it holds from there on."""
        fanout, client = self._fanout, connection.client
        if fanout is None or client not in self._connections or connection.ended.done():
            return
        fanout.change(client, wanted)
        connection.deliver(fanout.heartbeat(client))

    # --- coming back

    async def _obstacle(self, since: Token) -> ResetReason | None:
        """Why a client cannot go on from its token, as far as can be said without reading."""
        fanout = self._fanout
        assert fanout is not None
        if since.topic != fanout.topic or len(since.offsets) != len(fanout.told):
            return "other_topic"
        try:
            async with asyncio.timeout(AHEAD_SECONDS):
                while any(offset > told for offset, told in zip(since.offsets, fanout.told, strict=True)):
                    await self._next_tick()
        except TimeoutError:
            return "ahead"
        missed = sum(told - offset for offset, told in zip(since.offsets, fanout.told, strict=True))
        return "too_far" if missed > self._settings.live_replay_records else None

    async def _replay(self, fanout: Fanout, connection: Connection, until: Sequence[int]) -> None:
        """Offer a client what it missed, as fast as it takes it."""
        async with self._replays:
            try:
                while not await self._replay_on(fanout, connection, until):
                    await asyncio.sleep(RETRY_SECONDS)
                reason: ResetReason | None = None
            except OtherTopic:
                reason = "other_topic"
            except (Cut, Fatal):
                reason = "expired"
        fanout.replayed(connection.client)
        if reason:
            connection.deliver(fanout.reset(connection.client, reason))
        self._news.set()

    async def _replay_on(self, fanout: Fanout, connection: Connection, until: Sequence[int]) -> bool:
        """Whether all was offered; False when the brokers went away. Raises Cut when it no longer can be."""
        client = connection.client
        assert client.replayed_to is not None
        try:
            async for chunk in replay(self._settings, fanout.topic, client.replayed_to, until):
                fanout.replay(client, chunk.records, chunk.positions)
                self._news.set()
                while len(client.backlog) >= MOST_POSTS_A_FRAME:
                    await connection.accepted()
        except Cut:
            raise
        except Retryable as error:
            log.warning("live_replay_waits", error=str(error))
            return False
        return True

    # --- reading

    async def _feed(self) -> None:
        """Read the log for ever, from where it was read to before the brokers went away."""
        while True:
            try:
                async with open_log(self._settings) as kept:
                    fanout = await self._adopt(kept)
                    self._fresh_again()
                    await self._follow(kept, fanout)
            except (Retryable, Fatal) as error:
                self._lost(error)
            except Exception as error:
                # Whatever it was: a stream without a reader would be silent for ever.
                log.exception("live_reader_failed")
                self._lost(error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _adopt(self, kept: Log) -> Fanout:
        """Go on where we were, or, in a log that has no such place, begin anew at its end."""
        fanout = self._fanout
        if fanout is not None and kept.topic == fanout.topic and kept.has(fanout.read):
            kept.seek(fanout.read)
            return fanout
        if fanout is not None:
            log.warning("live_log_changed", topic=str(kept.topic))
            self._end_all("restart", "the log was cut or made anew; come back with the last id")
        each = max(self._settings.live_tail_records // len(kept.end), 1)
        starts = [max(first, end - each) for first, end in zip(kept.first, kept.end, strict=True)]
        kept.seek(starts)
        fanout = Fanout(kept.topic, starts, self._limits, self._settings.live_tail_records)
        while any(position < end for position, end in zip(await kept.positions(), kept.end, strict=True)):
            await self._take(kept, fanout, MOST_POSTS_A_FRAME)
        fanout.primed()
        self._fanout = fanout
        return fanout

    async def _follow(self, kept: Log, fanout: Fanout) -> None:
        """Read as records come. Raises Retryable when the brokers do not answer."""
        heard = self._now()
        while True:
            while not fanout.room:
                await self._next_tick()
            if await self._take(kept, fanout, fanout.room):
                heard = self._now()
                self._news.set()
            elif self._now() - heard > PROBE_SECONDS:
                if await topic_id(self._settings) != fanout.topic:
                    raise Cut("the topic was made anew")
                if await kept.ends() != fanout.read and not await self._take(kept, fanout, fanout.room):
                    raise Retryable("there are records that the consumer does not get")
                heard = self._now()

    async def _take(self, kept: Log, fanout: Fanout, most: int) -> int:
        records = await kept.read(most)
        for record in records:
            fanout.take(record.partition, record.offset, decoded(record.partition, record.offset, record.value))
        LIVE_RECORDS.inc(len(records))
        return len(records)

    def _fresh_again(self) -> None:
        if self.stale_since is not None:
            log.info("live_reading", since=self.stale_since.isoformat())
        self._be_stale(None)

    def _lost(self, error: Exception) -> None:
        if self.stale_since is None:
            log.warning("live_stale", error=str(error))
            self._be_stale(utcnow())

    def _be_stale(self, since: datetime | None) -> None:
        self.stale_since = since
        LIVE_STALE.set(since is not None)
        if self._fanout is not None and self._fanout.stale_since != since:
            self._fanout.stale_since = since
            self._fanout.beat_soon()
            self._news.set()

    # --- ticking

    async def _beat(self) -> None:
        """Tick when there is news, at most once each `live_frame_ms`, and now and then without."""
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
        ticked = fanout.tick(now)
        for client, frame in ticked.frames:
            self._connections[client].deliver(frame)
        LIVE_POSTS_SENT.inc(sum(frame.posts for _, frame in ticked.frames))
        for client in ticked.slow:
            self._end(self._connections[client], "slow", "too slow for the stream; come back with the last id")
        # Whoever waits for this tick has the old event.
        ticked_now, self._ticked = self._ticked, asyncio.Event()
        ticked_now.set()

    async def _next_tick(self) -> None:
        await self._ticked.wait()

    def _on_ready(self, client: Client) -> None:
        if client.backlog:
            self._news.set()

    def _end_all(self, code: ErrorCode, message: str) -> None:
        for connection in self._connections.values():
            self._end(connection, code, message)

    @staticmethod
    def _end(connection: Connection, code: ErrorCode, message: str) -> None:
        if not connection.ended.done():
            LIVE_ENDED.labels(code=code).inc()
            connection.end(Ending(code, message))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
