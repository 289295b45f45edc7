"""Timers that cannot stop the worker. In Faust an exception that leaves a timer's body stops the process."""

import functools
from collections.abc import Awaitable, Callable

import structlog

from signalflow.errors import SignalflowError

log = structlog.get_logger()


def guarded(name: str) -> Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]:
    """Decorate a timer's body: an error is logged, and the next tick tries again."""

    def decorate(body: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        @functools.wraps(body)
        async def tick() -> None:
            try:
                await body()
            except SignalflowError as error:
                log.warning("timer_failed", timer=name, error=str(error))
            except Exception:
                log.exception("timer_failed", timer=name)

        return tick

    return decorate
