"""Which brokers answer, and whether all topics and replicas are there."""

from dataclasses import dataclass

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from signalflow.kafka.clients import admin_client
from signalflow.kafka.connection import plaintext_options
from signalflow.kafka.topics import topic_specs
from signalflow.settings import Settings


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """Brokers that answer, topics of the application that do not exist, and replicas that are behind."""

    brokers: int
    topics_missing: list[str]
    replicas_out_of_sync: int


async def cluster_health(settings: Settings) -> ClusterHealth:
    """Raises Retryable when no broker answers, Fatal when they refuse the connection settings."""
    names = [spec.name for spec in topic_specs(settings)]
    async with admin_client(settings) as admin:
        cluster = await admin.describe_cluster()
        topics = await admin.describe_topics(names)
    existing = [topic for topic in topics if topic["error_code"] == 0]
    partitions = [partition for topic in existing for partition in topic["partitions"]]
    return ClusterHealth(
        brokers=len(cluster["brokers"]),
        topics_missing=sorted(set(names) - {topic["topic"] for topic in existing}),
        replicas_out_of_sync=sum(len(partition["replicas"]) - len(partition["isr"]) for partition in partitions),
    )


async def cluster_id(settings: Settings) -> str:
    """The id of the cluster, which tells it from another at the same address. Raises like `cluster_health`."""
    async with admin_client(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


async def known_brokers(bootstrap_servers: str) -> set[int]:
    """The ids of the brokers that the metadata of an embedded Kafka names; empty when no broker answers."""
    client = AIOKafkaClient(**plaintext_options(bootstrap_servers), request_timeout_ms=2000)
    try:
        await client.bootstrap()
        return {broker.nodeId for broker in client.cluster.brokers()}
    except (KafkaError, OSError):
        return set()
    finally:
        await client.close()
