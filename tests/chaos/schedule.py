"""When each fault happens. The seed decides the plan: four lanes of faults that overlap, and poison all the time."""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import get_args

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from msgspec.structs import asdict, replace

from signalflow.events import Envelope, Post
from signalflow.kafka.producer import ConfirmedProducer, partition_for
from signalflow.kafka.publisher import Publisher
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests import foreign
from tests.chaos import poison
from tests.chaos.faults import ALL
from tests.chaos.faults.base import Fault, Injection, Lane, Run
from tests.foreign import Foreign
from tests.integration.workers import observation

# A run of this length injects each fault as often as its `share` says; a shorter one proportionally less, but at least
# once.
FULL_MINUTES = 18.0
# Three seeds together send 10,000 mutated records.
MUTATED = 3_400
POISON_SECONDS = 1.0
BY_HAND_ROUNDS = 8
# A fault starts late by a random part of the time between two faults of its lane, at most this share.
JITTER = 0.3
# A lane that is behind its plan starts no more faults after this share of the planned time.
LATEST = 1.35
TOO_LARGE = "text over the limit at the producer"
OVER_THE_LIMIT = 1 << 21


@dataclass(frozen=True)
class Planned:
    """A fault and when it is due, in seconds from the start."""

    at: float
    fault: Fault


def plan(seed: int, minutes: float, only: Sequence[str] = (), *, short: bool = False) -> dict[Lane, list[Planned]]:
    """The faults of a run by lane, in order; equal for equal arguments. A kind must contain one word of `only`."""
    rnd = random.Random(f"plan {seed}")
    chosen = [
        fault
        for fault in ALL
        if (not only or any(word.lower() in fault.kind.lower() for word in only)) and (not short or fault.in_short_form)
    ]
    lanes: dict[Lane, list[Planned]] = {lane: [] for lane in get_args(Lane)}
    for lane, faults in groupby(sorted(chosen, key=lambda fault: fault.lane), key=lambda fault: fault.lane):
        lanes[lane] = _spread(rnd, list(faults), minutes, once=short)
    return lanes


def _spread(rnd: random.Random, faults: Iterable[Fault], minutes: float, *, once: bool) -> list[Planned]:
    several = [
        fault
        for fault in faults
        for _ in range(1 if once else max(1, round(fault.share * min(minutes / FULL_MINUTES, 1.0))))
    ]
    rnd.shuffle(several)
    step = minutes * 60 / max(len(several), 1)
    return [Planned((index + JITTER * rnd.random()) * step, fault) for index, fault in enumerate(several)]


async def carry_out(run: Run, lanes: dict[Lane, list[Planned]], minutes: float) -> list[str]:
    """Run all lanes concurrently; returns the kinds for which there was no time."""
    left = await asyncio.gather(*(_lane(run, planned, minutes) for planned in lanes.values()))
    return [kind for kinds in left for kind in kinds]


async def _lane(run: Run, planned: list[Planned], minutes: float) -> list[str]:
    began = time.monotonic()
    for index, each in enumerate(planned):
        passed = time.monotonic() - began
        if passed > minutes * 60 * LATEST:
            return [late.fault.kind for late in planned[index:]]
        await asyncio.sleep(max(0.0, each.at - passed))
        await each.fault.run(run)
    return []


async def poisoner(run: Run, minutes: float, share: float) -> None:
    """Send poison of every kind repeatedly, and `share` of a full seed's mutated records, evenly over the time."""
    settings = run.cluster.settings
    producer = ConfirmedProducer(settings, "chaos-poison")
    publisher = Publisher(producer, TopicNames.of(settings).posts_raw)
    seconds = minutes * 60
    wanted, began, rounds = round(MUTATED * share), time.monotonic(), 0
    by_hand = max(2, round(BY_HAND_ROUNDS * share))
    try:
        while (passed := time.monotonic() - began) < seconds:
            due = round(wanted * min(passed / seconds, 1.0))
            async with run.poisoning:
                mutants = sum(1 for each in run.poisons if each.kind == poison.MUTATED)
                run.poison([poison.mutated(len(run.poisons) + n, run.rnd) for n in range(max(due - mutants, 0))])
                if passed >= rounds * seconds / by_hand:
                    rounds += 1
                    run.poison(list(poison.by_hand(len(run.poisons))))
                    await _too_large(run, publisher)
                    await _foreign(run, rounds)
            await asyncio.sleep(POISON_SECONDS)
    finally:
        await publisher.close()


async def _foreign(run: Run, round_: int) -> None:
    """Send the records of another client, those of each topic and way together, until the brokers have them."""
    settings, names = run.cluster.settings, TopicNames.of(run.cluster.settings)
    records = list(poison.foreign(len(run.poisons)))
    records += poison.comments(len(run.poisons) + len(records))
    run.poisons += records
    for (topic, way), some in groupby(records, key=lambda each: (each.topic, each.way)):
        sent = [
            Foreign(each.key, each.value, partition_for(each.key or b"", run.load.partitions), each.headers)
            for each in some
        ]
        while True:
            try:
                await _send_as(settings, getattr(names, topic), way, sent, f"chaos-{topic}-{way}-{round_}")
            except (KafkaException, KafkaError, AssertionError):
                # Brokers are killed too. What a transaction that failed left in the log is not committed.
                await asyncio.sleep(POISON_SECONDS)
            else:
                break


async def _send_as(settings: Settings, topic: str, way: poison.Way, records: list[Foreign], name: str) -> None:
    if way == "latin-1":
        await foreign.produce_in_latin1(settings, topic, records)
    elif way in ("committed", "aborted"):
        commit = way == "committed"
        await asyncio.to_thread(foreign.transaction, settings, topic, records, name=name, commit=commit)
    else:
        await asyncio.to_thread(foreign.produce, settings, topic, records, codec=way)


async def _too_large(run: Run, publisher: Publisher) -> None:
    """Publish a record that is too large for the topic. The publisher must report that it was not sent."""
    now = datetime.now(UTC)
    good = observation(f"large{len(run.poisons)}", now, created_at=now)
    injection = Injection(TOO_LARGE, now.timestamp(), flow="none", healed=now.timestamp())
    sent = await publisher.publish([_with_body(good, "b" * OVER_THE_LIMIT)])
    if sent != [False]:
        run.failures.append(f"{TOO_LARGE}: reported as sent")
    run.journal.append(injection)


def _with_body(envelope: Envelope, body: str) -> Envelope:
    """The envelope with a body that the decoder would reject."""
    return replace(envelope, payload=Post(**asdict(envelope.payload) | {"body": body}))
