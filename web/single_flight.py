"""One call at a time for each key, whose result goes to everybody who asks for it meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """The calls that run. An error goes to everybody who waits for the call."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    async def run(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the call that runs for this key, or else of a new one."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(call())
            task.add_done_callback(lambda done: self._end(key, done))
        # A caller that is cancelled must not cancel the call that the others wait for.
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Let the next caller start a new call, because the data changed.

        The callers of the running one get its result.
        """
        self._running.pop(key, None)

    def forget_all(self) -> None:
        """Let the next callers of every key start new calls."""
        self._running.clear()

    def is_current(self, key: K) -> bool:
        """Whether the running task is the call for this key.

        False once it was forgotten: its result may be out of date.
        """
        return self._running.get(key) is asyncio.current_task()

    def cancel(self) -> None:
        """Cancel all calls."""
        for task in list(self._running.values()):
            task.cancel()

    def _end(self, key: K, task: asyncio.Task[V]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            # asyncio warns of an error that nobody asked for, and all callers may have been cancelled.
            task.exception()
