"""The live stream as server-sent events."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from web.access import Principal, is_within, principal_of
from web.api.live.transport import say_goodbye, send_frames
from web.live.admission import NotAdmitted
from web.live.frame_queue import Ending
from web.live.frames import OutgoingFrame, error_frame
from web.live.hub import Hub
from web.live.token import ResumeToken
from web.problems import RETRY_LATER, refusal

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    # Proxies such as nginx would collect events before they pass them on.
    "X-Accel-Buffering": "no",
}
# A browser waits this long before it reconnects.
RETRY_MS = 2_000


class EventStream(Response):
    """A response without an end. A client that is not admitted gets a problem instead."""

    media_type = MEDIA_TYPE

    def __init__(
        self, request: Request, hub: Hub, principal: Principal, wanted: Struct, since: ResumeToken | None
    ) -> None:
        super().__init__(headers=HEADERS)
        # A response without an end has no length.
        del self.headers["content-length"]
        self._request, self._hub, self._principal, self._wanted, self._since = request, hub, principal, wanted, since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._hub.admitted(self._principal.name):
                await self._serve(receive, send)
        except NotAdmitted as error:
            await refusal(error.status, str(error), RETRY_LATER)(scope, receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

        async def body(content: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": more})

        async def send_frame(frame: OutgoingFrame) -> None:
            await body(frame.event)

        async def disconnected() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def is_allowed() -> bool:
            principal = await principal_of(self._request)
            return principal is not None and is_within(principal, "read")

        async def goodbye(ending: Ending) -> None:
            await body(error_frame(ending.code, ending.message).event, more=False)

        async with self._hub.joined(self._wanted, self._since) as queue:
            await body(f"retry: {RETRY_MS}\n\n".encode())
            ending = await send_frames(queue, send_frame, disconnected(), is_allowed)
            if ending is not None:
                await say_goodbye(goodbye(ending))
