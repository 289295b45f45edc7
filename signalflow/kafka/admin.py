"""Topics on the brokers: created explicitly, checked against the settings, and changed on demand.

Faust declares only the topics that it consumes. Where brokers do not create topics by themselves, a send to a missing
topic waits for ever.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidPartitionsError, TopicAlreadyExistsError, for_code

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.alter_configs import AlterConfigs
from signalflow.kafka.clients import admin_client
from signalflow.kafka.topic_check import Difference, check_partitions, differences, shared_partitions
from signalflow.kafka.topic_ids import FoundTopic, describe, found_topics
from signalflow.kafka.topics import TopicSpec, topic_specs
from signalflow.settings import Settings

# Longest wait until the brokers report topics that were just created, in seconds.
TOPICS_READY_SECONDS = 15.0


@dataclass(frozen=True)
class Prepared:
    """The topics as a worker uses them.

    `created`: names of those that were missing. `extended`: names of those that got partitions. `warnings`: differences
    that break no promise.
    """

    topics: dict[str, FoundTopic]
    created: list[str]
    extended: list[str]
    warnings: list[Difference]


async def topic_partitions(settings: Settings) -> dict[str, int]:
    """The number of partitions of each topic of the application that exists.

    Raises Retryable when Kafka is away, Fatal when it refuses the connection settings.
    """
    found = await found_topics(settings, [spec.name for spec in topic_specs(settings)])
    return {name: topic.partitions for name, topic in found.items()}


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and wait until they can be used; returns their names.

    Topics that share their partition numbers get partitions, up to the number of the one that has most.

    Raises Fatal when existing topics have fewer partitions than the settings say, or Kafka refuses the connection
    settings; Retryable when Kafka is away.
    """
    async with admin_client(settings) as admin:
        return (await _prepare(admin, settings)).created


async def prepare_topics(settings: Settings) -> Prepared:
    """What `create_topics` does, and a check of the topics' properties.

    Raises Fatal when a property breaks a promise, and otherwise like `create_topics`.
    """
    async with admin_client(settings) as admin:
        prepared = await _prepare(admin, settings)
        found = differences(
            topic_specs(settings), prepared.topics, await _configs(admin, prepared.topics), settings.topic_partitions
        )
    broken = [difference for difference in found if difference.breaks]
    if broken:
        reasons = "; ".join(f"{difference} ({difference.breaks})" for difference in broken)
        raise Fatal(f"{reasons}. `signalflow topics apply` changes it")
    return Prepared(prepared.topics, prepared.created, prepared.extended, found)


async def check_topics(settings: Settings) -> list[Difference]:
    """How the topics differ from what they must be. Changes nothing. Raises like `topic_partitions`."""
    async with admin_client(settings) as admin:
        return await _check(admin, settings)


async def apply_topics(settings: Settings) -> tuple[list[Difference], list[Difference]]:
    """Make missing topics, add partitions and set properties: what was changed, and what is left to do by hand.

    Raises Fatal when the brokers refuse a change, and otherwise like `topic_partitions`.
    """
    async with admin_client(settings) as admin:
        before = await _check(admin, settings)
        missing = {difference.topic for difference in before if difference.change == "create"}
        specs = _with_partitions(
            topic_specs(settings),
            await describe(admin, [spec.name for spec in topic_specs(settings)]),
            settings.topic_partitions,
        )
        if missing:
            await _create(admin, [spec for spec in specs if spec.name in missing])
        too_few = [difference for difference in before if difference.change == "add partitions"]
        await _extend(admin, {difference.topic: int(difference.wanted) for difference in too_few})
        config: dict[str, dict[str, str]] = {}
        for difference in before:
            if difference.change == "set":
                config.setdefault(difference.topic, {})[difference.property] = difference.wanted
        if config:
            await _set_configs(admin, config)
        after = await _check_until_applied(admin, settings)
    left = {(difference.topic, difference.property) for difference in after}
    return [difference for difference in before if (difference.topic, difference.property) not in left], after


async def _check(admin: AIOKafkaAdminClient, settings: Settings) -> list[Difference]:
    specs = topic_specs(settings)
    found = await describe(admin, [spec.name for spec in specs])
    configs = await _configs(admin, found)
    untold = sorted(found.keys() - configs.keys())
    if untold:
        raise Fatal(f"Kafka does not tell the properties of {', '.join(untold)}: its ACLs must allow DescribeConfigs")
    return differences(specs, found, configs, settings.topic_partitions)


async def _check_until_applied(admin: AIOKafkaAdminClient, settings: Settings) -> list[Difference]:
    """The differences that are left. Brokers show a change a moment after they have accepted it."""
    end = asyncio.get_running_loop().time() + TOPICS_READY_SECONDS
    while True:
        left = await _check(admin, settings)
        if all(difference.change == "by hand" for difference in left) or asyncio.get_running_loop().time() > end:
            return left
        await asyncio.sleep(0.1)


async def _prepare(admin: AIOKafkaAdminClient, settings: Settings) -> Prepared:
    specs, setting = topic_specs(settings), settings.topic_partitions
    names = [spec.name for spec in specs]
    found = await describe(admin, names)
    check_partitions(specs, found, setting)
    wanted = _with_partitions(specs, found, setting)
    missing = [spec for spec in wanted if spec.name not in found]
    extended = {
        spec.name: spec.partitions
        for spec in wanted
        if spec.role != "other" and spec.name in found and found[spec.name].partitions < spec.partitions
    }
    if missing:
        await _create(admin, missing)
    await _extend(admin, extended)
    if missing or extended:
        found = await describe(admin, names)
    return Prepared(found, [spec.name for spec in missing], list(extended), [])


def _with_partitions(specs: list[TopicSpec], found: Mapping[str, FoundTopic], setting: int) -> list[TopicSpec]:
    """The same topics, with as many partitions as those have that share their partition numbers."""
    shared = shared_partitions(specs, found, setting)
    return [spec if spec.role == "other" else replace(spec, partitions=shared) for spec in specs]


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
    await _until_visible(admin, {spec.name: spec.partitions for spec in specs})


async def _extend(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    """Give each topic this number of partitions, and wait until they can be used."""
    for name, count in partitions.items():
        # The topic has that many already: another worker was first, and not every broker may know it yet.
        with suppress(InvalidPartitionsError):
            await admin.create_partitions({name: NewPartitions(count)})
    await _until_visible(admin, partitions)


async def _until_visible(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    """Wait until the brokers report all these partitions. Raises Retryable after TOPICS_READY_SECONDS."""
    try:
        async with asyncio.timeout(TOPICS_READY_SECONDS):
            while True:
                found = await describe(admin, partitions)
                if all(name in found and found[name].partitions >= count for name, count in partitions.items()):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise Retryable(f"Kafka does not show the new partitions of {', '.join(partitions)} yet") from error


async def _configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The properties of topics, by name; without those that the brokers do not tell, because of ACLs."""
    names = list(names)
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    (answer,) = await admin.describe_configs(resources)
    return {
        name: {entry[0]: entry[1] for entry in entries} for code, _, _, name, entries in answer.resources if code == 0
    }


async def _set_configs(admin: AIOKafkaAdminClient, by_topic: Mapping[str, Mapping[str, str]]) -> None:
    answer = await admin._send_to_controller(AlterConfigs(by_topic))
    for code, message, _, name in answer.resources:
        if code:
            raise Fatal(f"the properties of {name} cannot be changed: {for_code(code).__name__} {message or ''}")
