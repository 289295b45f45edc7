"""Topics that somebody changes under running workers: more partitions, or another topic of the same name."""

import asyncio
import time
from pathlib import Path

from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from confluent_kafka import KafkaException

from signalflow.errors import Retryable, SignalflowError
from signalflow.kafka.admin import create_topics, topic_partitions
from signalflow.kafka.clients import admin_client
from signalflow.kafka.topics import TopicNames
from signalflow.verify.log import TopicLog
from tests import foreign
from tests.chaos import poison
from tests.chaos.cluster import PARTITIONS
from tests.chaos.faults.base import Fault, Run, remembered
from tests.chaos.waiting import happens
from tests.foreign import Foreign
from tests.integration.workers import read_topic

# Brokers may be down at the same time, because of other faults.
ADMIN_SECONDS = 60.0
# Other faults may hold up the workers meanwhile. The load stands still for so long.
DRAINED_SECONDS = 40.0
BATCH_RECORDS = 3


async def partitions_added(run: Run) -> None:
    """The raw topic gets a partition, at times the enriched one too. The workers give it to the others."""
    async with run.gate.together(), run.cluster.going_back:
        names, count = TopicNames.of(run.settings), run.load.partitions + 1
        topics = [names.posts_raw, *([names.posts_enriched] if run.rnd.random() < 0.5 else [])]
        async with run.injecting("partitions added", detail=f"{count} for {', '.join(topics)}") as injection:

            async def added() -> bool:
                try:
                    found = await topic_partitions(run.settings)
                    async with admin_client(run.settings) as admin:
                        for topic in topics:
                            if found.get(topic, count) < count:
                                await admin.create_partitions({topic: NewPartitions(count)})
                except (KafkaError, Retryable):
                    return False
                return all(found.get(topic, 0) >= count for topic in topics)

            assert await happens(added, ADMIN_SECONDS), "the brokers did not add them"
            run.load.partitions = count
            run.probes.spread(count)
        await run.recovered(injection)


async def raw_made_anew(run: Run) -> None:
    """The raw topic is deleted and created again. What was not stored is lost, and the workers must report that."""
    async with run.gate.together(), run.cluster.going_back:
        # Records that are confirmed meanwhile would be in neither topic.
        async with run.injecting(RAW_MADE_ANEW) as injection, run.load.sending:
            assert await happens(lambda: remembered(run), ADMIN_SECONDS), "the database did not answer"
            await _make_anew(run, TopicNames.of(run.settings).posts_raw)
            run.raw_log_begins_anew()
        await run.recovered(injection)


async def enriched_made_anew(run: Run) -> None:
    """The enriched topic is deleted and created again, when all that it holds is stored. Nothing may be lost."""
    async with run.gate.together(), run.cluster.going_back:
        async with run.injecting(ENRICHED_MADE_ANEW) as injection, run.poisoning, run.load.sending:
            run.cluster.reddit_link.cut()
            try:
                assert await happens(lambda: _all_stored(run), DRAINED_SECONDS), "not all was stored in time"
                assert await happens(lambda: _enriched_remembered(run), ADMIN_SECONDS), "the brokers did not answer"
                await _make_anew(run, TopicNames.of(run.settings).posts_enriched)
                run.enriched_log_begins_anew()
            finally:
                run.cluster.reddit_link.heal()
        await run.recovered(injection)


async def _make_anew(run: Run, topic: str) -> None:
    assert await happens(lambda: _deleted(run, topic), ADMIN_SECONDS), "the brokers did not delete it"
    assert await happens(lambda: _created(run), ADMIN_SECONDS), "the brokers did not create it"


async def _all_stored(run: Run) -> bool:
    """Whether workers have committed all of the raw and of the enriched topic."""
    names = TopicNames.of(run.settings)
    log = TopicLog(run.settings, run.settings.app_id)
    try:
        raw = (await log.extent(names.posts_raw)).ends
        committed = await log.committed(names.posts_raw, names.posts_enriched, names.posts_dlq)
    except SignalflowError:
        return False
    return all(committed.enriched.get(partition, 0) >= end for partition, end in raw.items()) and all(
        committed.written.get(partition, 0) >= end for partition, end in committed.enriched_ends.items()
    )


async def _enriched_remembered(run: Run) -> bool:
    try:
        async with asyncio.timeout(ADMIN_SECONDS / 2):
            found = await read_topic(run.settings, TopicNames.of(run.settings).posts_enriched)
    except (KafkaError, TimeoutError):
        return False
    # What other programs wrote to the topic cannot be told from what they write to the new one.
    run.stored_with_a_log.enriched += [
        each for each in found if poison.HEADER not in dict(each.headers) and not poison.is_damaged(each)
    ]
    return True


async def batches_damaged(run: Run) -> None:
    """A batch of each topic claims to be packed with zstd on the disks of all brokers, and is not."""
    async with run.gate.together(), run.cluster.going_back:
        topics = TopicNames.of(run.settings).consumed
        texts = {topic: poison.DAMAGED_KEY + f"{time.time_ns()} {topic}".encode() for topic in sorted(topics)}
        async with run.injecting(DAMAGED) as injection:
            # Nobody may read a batch before it is damaged.
            for link in run.cluster.broker_links:
                link.cut()
            try:
                for topic, text in texts.items():
                    await _damage_a_batch(run, topic, text)
            finally:
                for link in run.cluster.broker_links:
                    link.heal()
        await run.recovered(injection)


async def _damage_a_batch(run: Run, topic: str, text: bytes) -> None:
    kafka, partition = run.cluster.kafka, run.rnd.randrange(PARTITIONS)
    records = [Foreign(text, text, partition)] * BATCH_RECORDS
    try:
        await asyncio.to_thread(foreign.produce, run.settings, topic, records)
    except KafkaException as error:
        raise AssertionError(f"the brokers did not take a batch: {error}") from error

    def copies() -> list[Path]:
        logs = [log for node in kafka.nodes for log in (kafka.storage(node) / f"{topic}-{partition}").glob("*.log")]
        return [log for log in logs if text in log.read_bytes()]

    assert await happens(lambda: len(copies()) == len(kafka.nodes), ADMIN_SECONDS), "not all brokers have the batch"
    for log in copies():
        foreign.claim_zstd(log, text)


async def _deleted(run: Run, topic: str) -> bool:
    """Whether the brokers take the request; a worker may create the topic again at once."""
    try:
        async with admin_client(run.settings) as admin, asyncio.timeout(10):
            ((_, code),) = (await admin.delete_topics([topic])).topic_error_codes
    except (KafkaError, Retryable, TimeoutError):
        return False
    return not code or for_code(code) is UnknownTopicOrPartitionError


async def _created(run: Run) -> bool:
    try:
        await create_topics(run.settings)
    except (KafkaError, Retryable):
        return False
    return True


DAMAGED = "damaged batches on the brokers' disks"
RAW_MADE_ANEW, ENRICHED_MADE_ANEW = "the raw topic is made anew", "the enriched topic is made anew"
FAULTS = (
    Fault("partitions added", "topics", 2, partitions_added),
    Fault(RAW_MADE_ANEW, "topics", 2, raw_made_anew, in_short_form=False),
    Fault(ENRICHED_MADE_ANEW, "topics", 2, enriched_made_anew, in_short_form=False),
    Fault(DAMAGED, "topics", 2, batches_damaged, in_short_form=False),
)
