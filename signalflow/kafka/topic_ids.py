"""The ids that brokers give to topics. A topic that is deleted and created again has another id under the same name.

aiokafka 0.14 speaks the metadata request up to version 5; ids came with version 10 (KIP-516, Kafka 2.8). This module
implements version 12 (https://kafka.apache.org/protocol#The_Messages_Metadata) with aiokafka's types.
"""

import hashlib
from collections.abc import Iterable
from io import BytesIO
from typing import Any
from uuid import UUID

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

from signalflow.errors import Retryable
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


async def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, UUID]:
    """The ids of the topics that exist, by name.

    Raises Retryable when Kafka is away or older than 3.1, Fatal when it refuses the connection settings.
    """
    async with admin_client(settings) as admin:
        try:
            answer = await admin._send_request(_MetadataRequest(list(names)))
        except NotImplementedError as error:
            raise Retryable(f"Kafka at {settings.kafka} is older than 3.1 and tells no topic ids") from error
    return {topic: topic_id for code, topic, topic_id, *_ in answer.topics if code == 0}
