"""Which partitions the members of the application's consumer group read, as the group's coordinator knows it."""

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from signalflow.kafka.clients import admin_client
from signalflow.kafka.topic_ids import describe
from signalflow.kafka.topics import topic_specs
from signalflow.settings import Settings

# States of a group in which its members, if it has any, know their assignments.
_SETTLED = frozenset({"Stable", "Empty", "Dead"})


async def unread_partitions(settings: Settings) -> dict[str, list[int]] | None:
    """By topic that agents read, the partitions that no worker is assigned.

    None when it cannot be told now: during a rebalance, or while the group has no coordinator. Raises Retryable when
    Kafka is away, Fatal when it refuses the connection settings.
    """
    async with admin_client(settings) as admin:
        found = await describe(admin, [spec.name for spec in topic_specs(settings) if spec.role == "source"])
        try:
            (answer,) = await admin.describe_consumer_groups([settings.app_id])
        except KafkaError:
            return None
    (group,) = answer.to_object()["groups"]
    if group["error_code"] or group["state"] not in _SETTLED:
        return None
    read = {
        (assigned.topic, assigned.partition)
        for member in group["members"]
        if member["member_assignment"]
        for assigned in ConsumerProtocolMemberAssignment.decode(member["member_assignment"]).partitions()
    }
    return {
        name: [partition for partition in range(topic.partitions) if (name, partition) not in read]
        for name, topic in found.items()
    }
