"""Errors of a whole consumer group, which aiokafka 0.14 overlooks in the answer to a request for committed offsets.

A broker that still loads a group, or that is not its coordinator any more, answers with that error and names no
partition. aiokafka looks only at the errors of partitions, and takes the group for one that has committed nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest

Send = Callable[..., Awaitable[Any]]


def raising_group_errors(send: Send) -> Send:
    """Like `send`, which sends a request of aiokafka, but an error of the whole group is raised as a KafkaError."""

    async def send_and_check(request: object, *args: object, **options: object) -> object:
        response = await send(request, *args, **options)
        # Brokers before 0.10.2 answer without this field, and name the error in each partition.
        code = getattr(response, "error_code", 0) if isinstance(request, OffsetFetchRequest) else 0
        if code:
            raise for_code(code)()
        return response

    return send_and_check
