"""What socket and event stream share: they send frames until the client or the hub ends the connection."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from signalflow.errors import Retryable
from web.live.frame_queue import Ending, FrameQueue
from web.live.frames import OutgoingFrame

# A connection may outlive the token, session or key that opened it by this long.
RECHECK_SECONDS = 15.0
# A client that takes no frame within this time does not get the reason why its connection ends.
GOODBYE_SECONDS = 1.0

Send = Callable[[OutgoingFrame], Awaitable[None]]


async def send_frames(
    queue: FrameQueue,
    send: Send,
    listen: Coroutine[Any, Any, Ending | None],
    is_allowed: Callable[[], Awaitable[bool]],
) -> Ending | None:
    """Send frames until the connection ends; returns why, or None when the client has disconnected.

    `listen` returns when the client disconnects, or sends a message that ends the connection. `is_allowed` says whether
    the client may still read, and is called every RECHECK_SECONDS.
    """

    async def write() -> Ending | None:
        while True:
            await send(await queue.next())

    tasks = [asyncio.create_task(part) for part in (write(), listen, _expired(is_allowed))]
    waited: list[asyncio.Future[Ending | None]] = [queue.ended, *tasks]  # type: ignore[list-item]
    try:
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if queue.ended in done:
            return queue.ended.result()
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _expired(is_allowed: Callable[[], Awaitable[bool]]) -> Ending:
    """Return when the client may no longer read. It may while this cannot be looked up."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            if not await is_allowed():
                return Ending("expired", "the sign-in has ended; sign in and come back with the last id")
        except Retryable:
            continue


async def say_goodbye(goodbye: Coroutine[Any, Any, None]) -> None:
    """Send the reason why the connection ends, if the client takes it in time."""
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await goodbye
    except (TimeoutError, OSError):
        return
