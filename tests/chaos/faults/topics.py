"""Topics that somebody changes under running workers: more partitions, or another topic of the same name."""

import asyncio

from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from signalflow.errors import Retryable
from signalflow.kafka.admin import create_topics, topic_partitions
from signalflow.kafka.clients import admin_client
from signalflow.kafka.topics import TopicNames
from signalflow.storage.pool import DATABASE_ERRORS
from tests.chaos.faults.base import Fault, Run
from tests.chaos.waiting import happens

# Brokers may be down at the same time, because of other faults.
ADMIN_SECONDS = 60.0


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
        topic = TopicNames.of(run.settings).posts_raw
        # Records that are confirmed meanwhile would be in neither topic.
        async with run.injecting(RAW_MADE_ANEW) as injection, run.load.sending:
            assert await happens(lambda: _remembered(run), ADMIN_SECONDS), "the database did not answer"
            assert await happens(lambda: _deleted(run, topic), ADMIN_SECONDS), "the brokers did not delete it"
            assert await happens(lambda: _created(run), ADMIN_SECONDS), "the brokers did not create it"
            run.raw_log_begins_anew()
        await run.recovered(injection)


async def _remembered(run: Run) -> bool:
    try:
        await run.remember_what_is_stored()
    except DATABASE_ERRORS:
        return False
    return True


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


RAW_MADE_ANEW = "the raw topic is made anew"
FAULTS = (
    Fault("partitions added", "topics", 2, partitions_added),
    Fault(RAW_MADE_ANEW, "topics", 2, raw_made_anew, in_short_form=False),
)
