"""uvicorn for the API: when it stops, it ends live connections before it waits for requests."""

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from web.services import services_of

# Requests that run when the process is asked to stop may take this long.
GRACE_SECONDS = 5
# All headers of a request together.
MAX_HEADER_BYTES = 16 << 10
# The largest filter has 45 kB; uvicorn ends a socket whose client sends more, with 1009.
MAX_SOCKET_MESSAGE_BYTES = 64 << 10
# Two pings find a client that vanished without closing its connection within 40 s.
PING_SECONDS = 20.0
# How long a client may leave unread what was sent to it, after its connection was ended here: Linux's TCP_USER_TIMEOUT.
UNREAD_MS = 30_000


class ApiServer(uvicorn.Server):
    """Serves one application of `create_api`."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_level="warning",
                server_header=False,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PING_SECONDS,
                # A frame is made once for all clients; compressing it would be done for each (docs/decisions/live.md).
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                **options,
            )
        )
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the live connections first, with a reason: uvicorn would wait for event streams, which have no end."""
        services = services_of(self._app)
        for hub in services.hubs:
            hub.close()
        await services.hub.closed()
        await super().shutdown(sockets)


def drop_what_nobody_reads(bound: socket.socket) -> None:
    """Let the kernel cut connections whose client does not read, where it can; accepted sockets inherit the option."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
