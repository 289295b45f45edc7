"""Waiting for a condition that may never come true."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.workers import eventually


async def happens(condition: Callable[[], Any], seconds: float) -> bool:
    """Whether a condition (plain or awaitable) comes true within `seconds`."""
    try:
        await eventually(condition, seconds)
    except AssertionError:
        return False
    return True


async def runs_out(left: Callable[[], Awaitable[int]], seconds: float, pause: float = 0.5) -> bool:
    """Whether a number falls to 0. It may take long, but no longer than `seconds` from one new minimum to the next."""
    least, at = await left(), time.monotonic()
    while least and time.monotonic() - at < seconds:
        await asyncio.sleep(pause)
        if (now := await left()) < least:
            least, at = now, time.monotonic()
    return not least
