"""Replaying dead letters: the original bytes go back to the topic they came from, as one more attempt.

A replay is bounded in count and rate, and each record in attempts. The consumer group's commits tell what became of a
replayed record. Once the group has committed past the record in its topic, and past everything made from it in the
topics that follow (always on the partition of the same number), without a new dead letter, the old one is resolved.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import structlog

from signalflow.domain.words import ReplayPolicy
from signalflow.errors import Invalid, Retryable
from signalflow.kafka.offsets import committed_offsets, end_offsets
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, partition_for
from signalflow.kafka.topics import TopicNames
from signalflow.lineage import ATTEMPT_HEADER, ORIGIN_HEADER
from signalflow.settings import Settings
from signalflow.storage.dead_letter_replays import (
    LockedLetter,
    begin_replay,
    due_letters,
    fate_of,
    finish_replay,
    resolve_passed,
    send_locked,
    watch_in_next_topic,
    watched_partitions,
)
from signalflow.storage.dead_letters import LetterFilter
from signalflow.storage.pool import Pool

log = structlog.get_logger()

# Letters that are locked and sent at once. Few, since a value may have a megabyte.
MOST_AT_ONCE = 50
ASK_SECONDS = 0.5
# completed: all were sent, and under the policy `stop` all went through. stopped: one failed again. out_of_time: the
# wait ended before the result of one was known. interrupted: brokers or database went away, and the rest was not sent.
Outcome = Literal["completed", "stopped", "out_of_time", "interrupted"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay: the dead letters of a filter, or only one; the oldest first, at most `most`.

    Policy `stop`: letters are sent one by one. Each must have gone through before the next is sent, and the first that
    fails again ends the replay. `wait_seconds` bounds the whole wait.
    """

    by: str
    wanted: LetterFilter = field(default_factory=LetterFilter)
    only: int | None = None
    policy: ReplayPolicy = "continue"
    most: int = 1000
    wait_seconds: float = 60.0


@dataclass(frozen=True)
class ReplayReport:
    """How a replay went.

    `ids`: the chosen letters, in the order of sending. `skipped` of them were being sent elsewhere or were refused.
    """

    replay_id: int | None
    ids: list[int]
    sent: int
    skipped: int
    failed_again: int
    outcome: Outcome | Literal["dry_run"]


async def plan(pool: Pool, settings: Settings, request: ReplayRequest) -> list[int]:
    """The ids that a replay would send, the oldest first. Raises Invalid when the request is out of bounds."""
    if not 1 <= request.most <= settings.dlq_replay_most:
        raise Invalid(f"1 to {settings.dlq_replay_most} (SIGNALFLOW_DLQ_REPLAY_MOST)", field="most")
    return await due_letters(
        pool,
        request.wanted,
        only=request.only,
        topics=TopicNames.of(settings).next_topic,
        max_attempts=settings.dlq_max_attempts,
        limit=request.most,
    )


async def dry_run(pool: Pool, settings: Settings, request: ReplayRequest) -> ReplayReport:
    """What a replay would send, without sending or recording anything."""
    return ReplayReport(None, await plan(pool, settings, request), 0, 0, 0, "dry_run")


async def replay(
    pool: Pool, settings: Settings, request: ReplayRequest, progress: Progress = lambda done, total: None
) -> ReplayReport:
    """Send dead letters back to where they came from, and record it.

    Raises Invalid for a wrong request, Retryable without a database.

    Safe to repeat, and safe with several callers at once (signalflow/storage/dead_letter_replays.py).
    """
    ids = await plan(pool, settings, request)
    replay_id = await begin_replay(
        pool, by=request.by, wanted=request.wanted, only=request.only, policy=request.policy, most=request.most
    )
    sending = _Replay(pool, settings, request, replay_id, ids, progress)
    try:
        await sending.send_all()
    finally:
        await sending.producer.close()
    await finish_replay(pool, replay_id, sending.outcome)
    log.info("dead_letters_replayed", replay=replay_id, by=request.by, sent=sending.sent, outcome=sending.outcome)
    return ReplayReport(replay_id, ids, sending.sent, len(sending.skipped), sending.failed_again, sending.outcome)


class _Replay:
    """One replay: sends its letters in order, and waits for each of them under the policy `stop`."""

    def __init__(
        self, pool: Pool, settings: Settings, request: ReplayRequest, replay_id: int, ids: list[int], progress: Progress
    ) -> None:
        self._pool, self._settings, self._request, self._progress = pool, settings, request, progress
        self._replay_id, self._ids = replay_id, ids
        self.producer = ConfirmedProducer(settings, f"{settings.app_id}-replay")
        self.sent, self.failed_again = 0, 0
        self.skipped: list[int] = []
        self.outcome: Outcome = "completed"

    async def send_all(self) -> None:
        one_by_one = self._request.policy == "stop"
        rate = self._settings.dlq_replay_rate
        at_once = 1 if one_by_one else max(1, min(MOST_AT_ONCE, int(rate)))
        started, deadline = time.monotonic(), time.monotonic() + self._request.wait_seconds
        for start in range(0, len(self._ids), at_once):
            # The n-th record is not sent before n / rate seconds have passed.
            await asyncio.sleep(max(0.0, started + start / rate - time.monotonic()))
            ids = self._ids[start : start + at_once]
            try:
                sent = await send_locked(self._pool, self._replay_id, ids, self._send)
                self.sent += len(sent)
                self.skipped += [letter_id for letter_id in ids if letter_id not in sent]
                self._progress(start + len(ids), len(self._ids))
                if one_by_one and sent and not await self._went_through(ids[0], deadline):
                    return
            except Retryable as error:
                log.warning("replay_failed", replay=self._replay_id, error=str(error))
                self.outcome = "interrupted"
                return

    async def _went_through(self, letter_id: int, deadline: float) -> bool:
        while True:
            fate = await fate_of(self._pool, letter_id)
            if fate == "failed_again":
                self.failed_again += 1
                self.outcome = "stopped"
            if fate != "under_way":
                return fate == "resolved"
            if time.monotonic() > deadline:
                self.outcome = "out_of_time"
                return False
            await asyncio.sleep(ASK_SECONDS)
            # The timer of the workers alone is not enough: they may have no leader at the moment.
            await settle(self._pool, self._settings)

    async def _send(self, taken: list[LockedLetter]) -> Mapping[int, tuple[int, int]]:
        """Send these letters; return the confirmed partition and offset of each, without those that a topic refuses."""
        try:
            return await self._send_to_topics(taken)
        except Invalid as error:
            if len(taken) == 1:
                log.warning("replay_refused", letter=taken[0].id, error=str(error))
                return {}
        sent: dict[int, tuple[int, int]] = {}
        for letter in taken:
            sent |= await self._send([letter])
        return sent

    async def _send_to_topics(self, taken: list[LockedLetter]) -> dict[int, tuple[int, int]]:
        sent: dict[int, tuple[int, int]] = {}
        for topic in sorted({letter.topic for letter in taken}):
            partitions = await self.producer.partitions_of(topic)
            batches: dict[int, list[LockedLetter]] = {}
            for letter in taken:
                if letter.topic == topic:
                    # Every producer chooses this partition for the key: there the record finds its post's state.
                    partition = partition_for(letter.key, partitions) if letter.key else letter.partition % partitions
                    batches.setdefault(partition, []).append(letter)
            spans = await self.producer.send(
                topic, {number: [replayed_record(letter) for letter in letters] for number, letters in batches.items()}
            )
            for partition, batch_spans in spans.items():
                for span in batch_spans:
                    for index in range(span.last - span.first + 1):
                        sent[batches[partition][span.start + index].id] = (partition, span.first + index)
        return sent


def replayed_record(letter: LockedLetter) -> Outgoing:
    """The original key, value and headers, with the number of the new attempt and a link to the letter."""
    original = [(name, value) for name, value in letter.headers if name not in (ATTEMPT_HEADER, ORIGIN_HEADER)]
    link = [(ATTEMPT_HEADER, str(letter.attempt + 1).encode()), (ORIGIN_HEADER, f"{letter.id}:{letter.token}".encode())]
    return Outgoing(letter.key, letter.value, [*original, *link])


async def settle(pool: Pool, settings: Settings) -> None:
    """Find out what became of replayed letters.

    Cheap when there are none. Several processes may do this at once.

    Commits are read before end offsets: the results of every record that the group had committed by then lie below
    those ends.
    """
    names = TopicNames.of(settings)
    next_topic = names.next_topic
    # A letter passes each topic at most once.
    for _ in range(len(next_topic) + 1):
        watched = await watched_partitions(pool)
        if not watched:
            return
        committed = await committed_offsets(settings, watched)
        after = {(topic, number): (next_topic[topic], number) for topic, number in watched if topic in next_topic}
        ends = await end_offsets(settings, set(after.values())) if after else {}
        for partition in watched:
            if partition in after:
                following = after[partition]
                await watch_in_next_topic(pool, partition, committed[partition], following, ends[following])
            elif partition[0] == names.posts_dlq:
                await resolve_passed(pool, partition, committed[partition])
        if await watched_partitions(pool) == watched:
            return
