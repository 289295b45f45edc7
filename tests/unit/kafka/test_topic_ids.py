"""Ids of topics, asked of brokers that do not tell them."""

from typing import Any

import pytest

from signalflow.errors import Fatal
from signalflow.kafka.topic_ids import describe


class _OldBroker:
    """aiokafka's client of a broker that does not know the version of the request."""

    async def _send_request(self, request: Any) -> Any:
        raise NotImplementedError("Support for MetadataRequest v12 has not yet been added")


async def test_a_broker_that_is_too_old_is_no_outage_and_the_version_that_is_needed_is_named() -> None:
    with pytest.raises(Fatal, match=r"older than Kafka 3\.1 .* needs Kafka 3\.1 or newer"):
        await describe(_OldBroker(), ["raw"])  # type: ignore[arg-type]
