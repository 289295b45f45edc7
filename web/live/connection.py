"""One client between the hub, which delivers frames, and the transport, which sends them when the client accepts them."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from web.live.fanout import Client, Outgoing
from web.live.protocol import ErrorCode


class Ending(NamedTuple):
    """Why a connection ends."""

    code: ErrorCode
    message: str


class Connection:
    """The frames of one client, in order. `ended` is set when the hub has nothing more to say to it."""

    def __init__(self, client: Client, on_ready: Callable[[Client], None]) -> None:
        self.client = client
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._frames: deque[Outgoing] = deque()
        self._delivered = asyncio.Event()
        self._accepted = asyncio.Event()
        self._on_ready = on_ready

    def deliver(self, frame: Outgoing) -> None:
        """Queue a frame. The hub delivers posts only to a client that is ready, so that the queue stays short."""
        self.client.ready = False
        self._frames.append(frame)
        self._delivered.set()

    async def next(self) -> Outgoing:
        """The next frame. Asking for it says that the one before was accepted."""
        self._accepted.set()
        while not self._frames:
            self._delivered.clear()
            self.client.ready = True
            self._on_ready(self.client)
            await self._delivered.wait()
        return self._frames.popleft()

    async def accepted(self) -> None:
        """Wait until a frame was accepted."""
        self._accepted.clear()
        await self._accepted.wait()

    def end(self, ending: Ending) -> None:
        """Say that the connection ends; only the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(ending)
