"""Every request has an id: in its answer, in a problem, and in each line of the log that it causes."""

from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
_FIELD = "request_id"


def current() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return str(structlog.contextvars.get_contextvars().get(_FIELD, ""))


class RequestIds:
    """ASGI middleware that gives each request and each socket an id of its own.

    An id that the client sends is not taken: it would put a stranger's text into the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # It stays bound after an error, because Starlette answers those outside of all middleware. The server runs each
        # request in a task of its own, which ends with the request.
        structlog.contextvars.bind_contextvars(**{_FIELD: uuid4().hex})

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = current()
            await send(message)

        await self._app(scope, receive, send_with_id)
