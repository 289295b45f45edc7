"""What the socket and the event stream have in common: sending frames until one side ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from signalflow.errors import Retryable
from web.live.connection import Connection, Ending
from web.live.fanout import Outgoing

# How long a connection may outlive the token, session or key that it was made with.
RECHECK_SECONDS = 15.0
# A client that is stalled does not hear why its connection ends.
GOODBYE_SECONDS = 1.0

Send = Callable[[Outgoing], Awaitable[None]]


async def carry(
    connection: Connection,
    send: Send,
    listen: Coroutine[Any, Any, Ending | None],
    is_allowed: Callable[[], Awaitable[bool]],
) -> Ending | None:
    """Send frames until the hub, the client or its right to be here ends it; why, or None when the client has gone.

    `listen` returns when the client goes, or does something that ends the connection.
    """

    async def write() -> Ending | None:
        while True:
            await send(await connection.next())

    tasks = [asyncio.create_task(part) for part in (write(), listen, _expired(is_allowed))]
    waited: list[asyncio.Future[Ending | None]] = [connection.ended, *tasks]  # type: ignore[list-item]
    try:
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if connection.ended in done:
            return connection.ended.result()
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _expired(is_allowed: Callable[[], Awaitable[bool]]) -> Ending:
    """Return when the client may no longer read. While that cannot be looked up, it may."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            if not await is_allowed():
                return Ending("expired", "the sign-in has ended; sign in and come back with the last id")
        except Retryable:
            continue


async def say_goodbye(goodbye: Coroutine[Any, Any, None]) -> None:
    """The last words, if the client takes them in time."""
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await goodbye
    except (TimeoutError, OSError):
        return
