"""What brokers know of a topic: its id, its partitions and their copies.

A topic that is deleted and created again has another id under the same name.

aiokafka 0.14 speaks the metadata request up to version 5; ids came with version 10 (KIP-516, Kafka 2.8). This module
implements version 12 (https://kafka.apache.org/protocol#The_Messages_Metadata) with aiokafka's types.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from signalflow.errors import Fatal
from signalflow.kafka.clients import admin_client
from signalflow.settings import Settings

_UUID_BYTES = 16


class _Uuid(AbstractType[UUID]):
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(_UUID_BYTES))


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestV12(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV12]):
    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(UUID(int=0), name, {}) for name in self._names], False, False, {})


def substitute_id(topic: str) -> UUID:
    """The id used for a topic that the brokers do not know: the MD5 of its name, as in migration 0002."""
    return UUID(bytes=hashlib.md5(topic.encode(), usedforsecurity=False).digest())


@dataclass(frozen=True)
class FoundTopic:
    """A topic on the brokers. `copies`: how many replicas each partition has; the fewest, where partitions differ."""

    id: UUID
    partitions: int
    copies: int


async def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, UUID]:
    """The ids of the topics that exist, by name. Raises like `found_topics`."""
    return {name: found.id for name, found in (await found_topics(settings, names)).items()}


async def found_topics(settings: Settings, names: Iterable[str]) -> dict[str, FoundTopic]:
    """The topics that exist, by name. Asking creates none.

    Raises Retryable when Kafka is away, Fatal when it refuses the connection settings or is older than 3.1.
    """
    async with admin_client(settings) as admin:
        return await describe(admin, names)


async def describe(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, FoundTopic]:
    """`found_topics` with a client that is connected. Raises Fatal when the broker is older than 3.1."""
    try:
        answer = await admin._send_request(_MetadataRequest(list(names)))
    except NotImplementedError as error:
        # Waiting would not help, and would look like an outage. A rolling upgrade from an older version shows it for a
        # while, but only to workers that start: none ever ran on the old brokers. Whoever restarts a worker that ended
        # tries again.
        raise Fatal(
            "a broker of SIGNALFLOW_KAFKA is older than Kafka 3.1 and tells no topic ids: signalflow needs Kafka 3.1 "
            "or newer on all brokers"
        ) from error
    return {
        topic: _found(topic_id, partitions) for code, topic, topic_id, _, partitions, *_ in answer.topics if not code
    }


def _found(topic_id: UUID, partitions: Sequence[tuple[Any, ...]]) -> FoundTopic:
    """A topic of the metadata response. The replicas are the fifth field of a partition."""
    return FoundTopic(topic_id, len(partitions), min((len(partition[4]) for partition in partitions), default=0))
