"""Keeps clients of aiokafka from creating topics by asking about them."""

from aiokafka import client
from aiokafka.admin import client as admin_client
from aiokafka.protocol.metadata import MetadataRequest


class AskingMetadataRequest(MetadataRequest):
    """A metadata request that creates no topic.

    aiokafka 0.14 always allows creation. A broker with `auto.create.topics.enable`, which is Kafka's default, then
    creates each topic that a client asks about, with one partition and the broker's own properties.
    """

    def __init__(self, topics: list[str] | None = None, allow_auto_topic_creation: bool = False) -> None:
        super().__init__(topics, allow_auto_topic_creation)


def create_no_topics() -> None:
    """Let every client of aiokafka in this process use AskingMetadataRequest."""
    client.MetadataRequest = admin_client.MetadataRequest = AskingMetadataRequest
