"""The frames of one client: the hub adds them, and the transport sends them as fast as the client takes them."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from web.live.clients import Client
from web.live.frames import OutgoingFrame
from web.live.protocol import ErrorCode


class Ending(NamedTuple):
    """Why the connection of a client ends."""

    code: ErrorCode
    message: str


class FrameQueue:
    """Frames in the order of delivery. `ended` is set when the hub ends the connection."""

    def __init__(self, client: Client, on_ready: Callable[[Client], None]) -> None:
        self.client = client
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._frames: deque[OutgoingFrame] = deque()
        self._delivered = asyncio.Event()
        self._accepted = asyncio.Event()
        self._on_ready = on_ready

    def deliver(self, frame: OutgoingFrame) -> None:
        """Add a frame. The hub delivers posts only to a client that is ready, so the queue stays short."""
        self.client.ready = False
        self._frames.append(frame)
        self._delivered.set()

    async def next(self) -> OutgoingFrame:
        """The next frame. Each call means that the client has accepted the frame before."""
        self._accepted.set()
        while not self._frames:
            self._delivered.clear()
            self.client.ready = True
            self._on_ready(self.client)
            await self._delivered.wait()
        return self._frames.popleft()

    async def accepted(self) -> None:
        """Wait until the client has accepted a frame."""
        self._accepted.clear()
        await self._accepted.wait()

    def end(self, ending: Ending) -> None:
        """End the connection. Only the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(ending)
