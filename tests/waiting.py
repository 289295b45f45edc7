"""Waiting for a condition with a deadline, instead of sleeping for a guessed time."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def until(
    condition: Callable[[], Any],
    what: str | Callable[[], str] = "the condition",
    seconds: float = 20.0,
    *,
    pause: float = 0.01,
) -> Any:
    """The first true answer of a condition, plain or awaitable, which is asked every `pause` seconds.

    Raises AssertionError with `what` after `seconds`. A function for `what` is called only then.
    """
    end = asyncio.get_running_loop().time() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if asyncio.get_running_loop().time() >= end:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        await asyncio.sleep(pause)
