"""Examines Kafka: whether brokers answer, and whether topics are as the guarantees need them."""

from collections.abc import AsyncIterator

from signalflow.doctor.finding import Finding, Verdict
from signalflow.kafka.admin import check_topics
from signalflow.kafka.cluster_health import cluster_health
from signalflow.settings import Settings


async def examine_kafka(settings: Settings) -> AsyncIterator[Finding]:
    """Raises Retryable when no broker answers, Fatal when they refuse the connection settings."""
    health = await cluster_health(settings)
    yield Finding("kafka", "ok", f"{health.brokers} broker(s) answer at {settings.kafka}")
    if settings.topic_replication > health.brokers:
        yield Finding(
            "kafka",
            "wrong",
            f"topics need {settings.topic_replication} copies, and there are {health.brokers} broker(s)",
            "start more brokers, or lower SIGNALFLOW_TOPIC_REPLICATION",
        )
    elif settings.topic_replication == 1:
        yield Finding(
            "kafka",
            "warning",
            "topics have one copy: a broker whose disk breaks takes records with it that are not stored yet",
            "for production start three brokers and set SIGNALFLOW_TOPIC_REPLICATION=3",
        )
    if health.replicas_out_of_sync:
        yield Finding(
            "kafka",
            "warning",
            f"{health.replicas_out_of_sync} copies of partitions are behind",
            "look whether a broker is away, or has just come back",
        )
    differences = await check_topics(settings)
    for difference in differences:
        breaks = f"; it breaks a promise: {difference.breaks}" if difference.breaks else ""
        fix = "change it by hand" if difference.change == "by hand" else "run `signalflow topics apply`"
        verdict: Verdict = "wrong" if difference.breaks or difference.found is None else "warning"
        yield Finding("topics", verdict, f"{difference}{breaks}", fix)
    if not differences:
        yield Finding("topics", "ok", "every topic is as it must be")
