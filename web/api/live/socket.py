"""The live stream on a WebSocket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from signalflow.errors import Invalid
from web.access import SUBPROTOCOL, principal_of_socket
from web.api.live.transport import say_goodbye, send_frames
from web.live.frame_queue import Ending, FrameQueue
from web.live.frames import OutgoingFrame, error_frame
from web.live.hub import Hub
from web.live.protocol import ErrorCode, FilterForm, decode_filter
from web.live.token import ResumeToken

# RFC 6455 and the IANA registry: policy violation, service restart, try again later.
CLOSE_CODES: dict[ErrorCode, int] = {"invalid": 1008, "flood": 1008, "expired": 1008, "restart": 1012, "slow": 1013}
# The largest filter that is valid has 45 kB.
MOST_CHARACTERS = 64 << 10
# A client may send BURST messages at once, and then MESSAGES_PER_SECOND.
BURST = 20
MESSAGES_PER_SECOND = 2.0


async def serve_socket(websocket: WebSocket, hub: Hub, wanted: Struct, since: ResumeToken | None) -> None:
    """Accept the socket, and serve it until it ends."""
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)

    async def send(frame: OutgoingFrame) -> None:
        await websocket.send({"type": "websocket.send", "text": frame.text})

    async def is_allowed() -> bool:
        return await principal_of_socket(websocket) is not None

    try:
        async with hub.joined(wanted, since) as queue:
            ending = await send_frames(queue, send, _listen(websocket, hub, queue), is_allowed)
            if ending is not None:
                await say_goodbye(_close(websocket, send, ending))
    except WebSocketDisconnect:
        return


async def _close(websocket: WebSocket, send: Callable[[OutgoingFrame], Awaitable[None]], ending: Ending) -> None:
    await send(error_frame(ending.code, ending.message))
    await websocket.close(CLOSE_CODES[ending.code], ending.code)


async def _listen(websocket: WebSocket, hub: Hub, queue: FrameQueue) -> Ending | None:
    """Take filters until the client disconnects or sends too many messages."""
    allowance, last = float(BURST), asyncio.get_running_loop().time()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        now = asyncio.get_running_loop().time()
        allowance, last = min(allowance + (now - last) * MESSAGES_PER_SECOND, BURST) - 1, now
        if allowance < 0:
            return Ending("flood", f"more than {BURST} messages at once, or {MESSAGES_PER_SECOND:.0f} a second")
        try:
            hub.change(queue, _filter_in(message.get("text"), hub.kind.filters))
        except Invalid as error:
            queue.deliver(error_frame("invalid", f"{error.field}: {error}"))


def _filter_in(text: str | None, form: FilterForm) -> Any:
    if text is None or len(text) > MOST_CHARACTERS:
        raise Invalid(f"a message is text of at most {MOST_CHARACTERS} characters", "filter")
    return decode_filter(text, form)
