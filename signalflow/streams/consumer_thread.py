"""The thread in which Faust's consumer talks to the brokers, with what Faust's own thread does not ask them."""

import asyncio
import math
import time
from collections.abc import Collection, Mapping
from itertools import count
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import (
    CommitFailedError,
    CorruptRecordException,
    KafkaError,
    NotCoordinatorForGroupError,
    UnknownError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import MethodQueue, QueueServiceThread

from signalflow.clock import steady
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.positions import Commit, Found, Outputs, Position
from signalflow.kafka.every_offset import ISOLATION, deliver_every_offset
from signalflow.kafka.group_errors import raising_group_errors
from signalflow.kafka.stopping import stop_consumer

log = structlog.get_logger()

# How long a broker holds a fetch that finds nothing. Other requests on the connection wait behind it, and a rebalance
# sends several requests for offsets, one after the other. Faust's own value is 1.5 s.
FETCH_WAIT_MS = 250

# What a broker answers that has to look into a batch and cannot.
_DAMAGED = (UnknownError, CorruptRecordException)


class Calls(MethodQueue):
    """Calls into the thread. Those that wait when it ends are dropped: who made them ends too."""

    async def flush(self) -> None:
        """Drop the calls that wait. mode makes them, but a client that was stopped repeats a request for ever."""
        while not self._queue.empty():
            self._queue.get_nowait()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    # When the last heartbeat that the group's coordinator answered was sent, by `clock.steady`.
    heartbeat_at = -math.inf
    _method_queue: MethodQueue | None = None

    async def on_start(self) -> None:
        """Wait for brokers that went away after the topics were created. Faust would end the worker instead."""
        for failures in count(1):
            try:
                await super().on_start()
                self._note_heartbeats()
                self._raise_group_errors()
                return
            except KafkaError as error:
                if self.app.should_stop:
                    raise
                wait = WHILE_AWAY.after(failures)
                log.warning("kafka_away_at_start", error=str(error), retry_in=wait)
                await stop_consumer(self._consumer)
                await asyncio.sleep(wait)

    def close(self) -> None:
        """Do nothing: the thread stops the client when it ends.

        A rebalance of a worker that is told to stop calls this. Faust closes the client here, but in the worker's loop.
        The client counts as stopped then, so that it never leaves its group, and repeats its requests for ever.
        """

    async def on_thread_stop(self) -> None:
        """Stop the client within a few seconds, and only then the queue of calls.

        While a rebalance is under way, aiokafka waits for its handlers, and these call this thread. Faust ends the
        queue first: a call is then never answered, and the stop never ends.
        """
        if self._consumer is not None:
            await stop_consumer(self._consumer)
        await QueueServiceThread.on_thread_stop(self)

    @property
    def method_queue(self) -> MethodQueue:
        """The queue of calls into this thread."""
        if self._method_queue is None:
            self._method_queue = Calls(loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue

    def _note_heartbeats(self) -> None:
        """Note when each heartbeat that succeeds was sent. aiokafka keeps that to itself."""
        coordinator = self._consumer._coordinator
        if coordinator is None:
            return
        send = coordinator._do_heartbeat

        async def do_heartbeat() -> bool:
            sent_at = steady()
            is_member = bool(await send())
            if is_member:
                self.heartbeat_at = sent_at
            return is_member

        coordinator._do_heartbeat = do_heartbeat

    def _raise_group_errors(self) -> None:
        """Never take a group whose coordinator is not ready for a group that committed nothing."""
        coordinator = self._consumer._coordinator
        if coordinator is None:
            return
        send = raising_group_errors(coordinator._send_req)

        async def send_req(request: object) -> object:
            try:
                return await send(request)
            except NotCoordinatorForGroupError:
                # aiokafka asks again after the error, and must ask the new coordinator then.
                coordinator.coordinator_dead()
                raise

        coordinator._send_req = send_req

    @property
    def has_ended(self) -> bool:
        """Whether aiokafka's fetch loop has ended: an error that it does not expect ends it silently."""
        fetcher = self._consumer and self._consumer._fetcher
        return bool(fetcher and fetcher._fetch_task.done())

    def connection_of(self, tp: TP) -> object | None:
        """The connection over which a partition is fetched now; None while there is none."""
        client = self._ensure_consumer()._client
        leader = client.cluster.leader_for_partition(TopicPartition(*tp))
        connection: object | None = client._conns.get((leader, ConnectionGroup.DEFAULT))
        return connection

    async def rejoin(self) -> None:
        """Join the group again, as if its members had changed."""
        self._ensure_consumer()._coordinator.request_rejoin()

    def _create_worker_consumer(self, transport: Any) -> Any:
        deliver_every_offset()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = ISOLATION
        return consumer

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
        """What the group committed in these partitions; a partition without a commit is left out."""
        return await self.call_thread(self._committed, partitions)  # type: ignore[no-any-return]

    async def _committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
        coordinator = self._ensure_consumer()._coordinator
        found = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in partitions])
        return {
            TP(*tp): Commit(
                Position.of_commit(commit.offset, commit.metadata),
                Outputs.of_commit(commit.metadata),
            )
            for tp, commit in found.items()
        }

    async def first_at(self, timestamps: Mapping[TP, int]) -> dict[TP, Found | None]:
        """By partition, the first record whose timestamp is this one or later; None when there is no such record.

        A partition is left out when the brokers cannot tell, because a batch of that time is damaged.
        """
        return await self.call_thread(self._first_at, timestamps)  # type: ignore[no-any-return]

    async def _first_at(self, timestamps: Mapping[TP, int]) -> dict[TP, Found | None]:
        if not timestamps:
            return {}
        asked = {TopicPartition(*tp): timestamp for tp, timestamp in timestamps.items()}
        try:
            found = await self._ensure_consumer().offsets_for_times(asked)
        except _DAMAGED:
            if len(timestamps) == 1:
                return {}
            # One partition fails the request for all of them.
            each = [await self._first_at({tp: timestamp}) for tp, timestamp in timestamps.items()]
            return {tp: record for answer in each for tp, record in answer.items()}
        return {TP(*tp): None if record is None else Found(*record) for tp, record in found.items()}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """As in Faust, but a commit carries metadata, and partitions whose lost outputs it would hide are left out."""
        assigned = self.assignment()
        commits = {
            TopicPartition(*tp): OffsetAndMetadata(offset, self.consumer.metadata_at(tp, offset))
            for tp, offset in offsets.items()
            if tp in assigned and self.consumer.may_commit(tp)
        }
        if not commits:
            return False
        self.tp_last_committed_at.update(dict.fromkeys(offsets, time.monotonic()))
        try:
            await self._ensure_consumer().commit(commits)
        except CommitFailedError as error:
            if "already rebalanced" in str(error):
                return False
            await self._end_after(error)
        except Exception as error:  # noqa: BLE001 - as in Faust, whatever it is ends the worker
            await self._end_after(error)
        else:
            for tp in commits:
                self.consumer.note_commit(TP(*tp), commits[tp].offset)
            return True
        return False

    async def _end_after(self, error: Exception) -> None:
        log.error("commit_failed_for_good", error=f"{type(error).__name__}: {error}")
        await self.crash(error)
