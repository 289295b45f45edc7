"""The request that changes properties of topics.

aiokafka 0.14 has AlterConfigs alone, which resets every property that it does not name. This module implements
IncrementalAlterConfigs (KIP-339, Kafka 2.3) version 0 with aiokafka's types
(https://kafka.apache.org/protocol#The_Messages_IncrementalAlterConfigs).
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

_SET = 0


class _AlterResponse(Response):
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _AlterRequestV0(RequestStruct):
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("configs", Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8")))),
            ),
        ),
        ("validate_only", Boolean),
    )


class AlterConfigs(Request[_AlterRequestV0]):
    """Sets properties, by topic; leaves the others as they are."""

    API_KEY = 44

    def __init__(self, by_topic: Mapping[str, Mapping[str, str]]) -> None:
        self._by_topic = by_topic

    def build(self, request_struct_class: Any) -> Any:
        """See Request."""
        resources = [
            (int(ConfigResourceType.TOPIC), topic, [(name, _SET, value) for name, value in config.items()])
            for topic, config in self._by_topic.items()
        ]
        return request_struct_class(resources, False)
