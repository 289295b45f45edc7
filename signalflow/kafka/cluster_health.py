"""Whether the brokers are well: how many answer, and whether all topics and copies are there."""

from dataclasses import dataclass

from aiokafka.errors import KafkaError

from signalflow.errors import Retryable
from signalflow.kafka.admin import admin_client
from signalflow.kafka.topics import topic_specs
from signalflow.settings import Settings


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """Brokers that answer, topics of ours that do not exist, and copies of their partitions that are behind."""

    brokers: int
    topics_missing: list[str]
    replicas_out_of_sync: int


async def cluster_health(settings: Settings) -> ClusterHealth:
    """Raises Retryable when no broker answers."""
    names = [spec.name for spec in topic_specs(settings)]
    async with admin_client(settings) as admin:
        try:
            cluster = await admin.describe_cluster()
            topics = await admin.describe_topics(names)
        except (KafkaError, OSError) as error:
            raise Retryable(f"Kafka stopped answering: {type(error).__name__}") from error
    existing = [topic for topic in topics if topic["error_code"] == 0]
    partitions = [partition for topic in existing for partition in topic["partitions"]]
    return ClusterHealth(
        brokers=len(cluster["brokers"]),
        topics_missing=sorted(set(names) - {topic["topic"] for topic in existing}),
        replicas_out_of_sync=sum(len(partition["replicas"]) - len(partition["isr"]) for partition in partitions),
    )
