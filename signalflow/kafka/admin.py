"""Topics on the brokers: created explicitly, and checked against the settings before a worker starts.

Faust declares only the topics that it consumes. Where brokers do not create topics by themselves, a send to a missing
topic waits for ever.
"""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.clients import admin_client
from signalflow.kafka.topics import TopicSpec, topic_specs
from signalflow.settings import Settings

# Longest wait until the brokers report topics that were just created, in seconds.
TOPICS_READY_SECONDS = 15.0


async def topic_partitions(settings: Settings) -> dict[str, int]:
    """The number of partitions of each topic of the application that exists.

    Raises Retryable when Kafka is away, Fatal when it refuses the connection settings.
    """
    names = [spec.name for spec in topic_specs(settings)]
    async with admin_client(settings) as admin:
        return await _partitions(admin, names)


async def _partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    described: list[dict[str, Any]] = await admin.describe_topics(names)
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and wait until they can be used; returns their names.

    Raises Fatal when an existing topic has another number of partitions than the settings say, or Kafka refuses the
    connection settings; Retryable when Kafka is away.
    """
    specs = topic_specs(settings)
    async with admin_client(settings) as admin:
        existing = await _partitions(admin, [spec.name for spec in specs])
        _check(specs, existing)
        missing = [spec for spec in specs if spec.name not in existing]
        if missing:
            await _create(admin, missing)
        return [spec.name for spec in missing]


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> None:
    response = await admin.create_topics(
        [NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.config)) for spec in specs]
    )
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if not code or error is TopicAlreadyExistsError:
            continue
        why = f"topic {name} cannot be created: {error.__name__} {' '.join(str(part) for part in message)}"
        # Brokers that have just started may not know each other yet.
        raise Retryable(why) if error.retriable else Fatal(why)
    async with asyncio.timeout(TOPICS_READY_SECONDS):
        while len(await _partitions(admin, [spec.name for spec in specs])) < len(specs):
            await asyncio.sleep(0.1)


def _check(specs: list[TopicSpec], existing: dict[str, int]) -> None:
    for spec in specs:
        found = existing.get(spec.name, spec.partitions)
        if found != spec.partitions:
            raise Fatal(
                f"topic {spec.name} has {found} partitions, the settings say {spec.partitions}: set "
                f"SIGNALFLOW_TOPIC_PARTITIONS={found}, or use another SIGNALFLOW_TOPIC_PREFIX and SIGNALFLOW_APP_ID"
            )
