"""Waiting for a condition with a deadline, instead of sleeping for a guessed time."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], what: str = "the condition", seconds: float = 20.0) -> Any:
    """The first true answer of a condition, plain or awaitable. Raises AssertionError with `what` after `seconds`."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < end, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)
