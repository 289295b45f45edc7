"""Waiting for a condition that may never come true."""

from collections.abc import Callable
from typing import Any

from tests.integration.workers import eventually


async def happens(condition: Callable[[], Any], seconds: float) -> bool:
    """Whether a condition (plain or awaitable) comes true within `seconds`."""
    try:
        await eventually(condition, seconds)
    except AssertionError:
        return False
    return True
