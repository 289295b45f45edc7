"""The server of the Model Context Protocol over HTTP, for assistants that bring an API key with each request."""

from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"


class OnlyWithKey:
    """Answers 401 to a request without an API key. Whether a key is valid is what the API says at each read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or any(
            name == b"authorization" and value.lower().startswith(b"bearer ") for name, value in scope["headers"]
        ):
            await self._app(scope, receive, send)
            return
        body = b'{"error": "bring an API key: Authorization: Bearer KEY (signalflow key create USER)"}'
        headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def http_app(server: MCPServer[Any], host: str, allowed_hosts: list[str]) -> ASGIApp:
    """The application. It answers for the host that it is bound to, and for `allowed_hosts`.

    Pages of other sites, whose names a browser was made to take for this machine, are refused.
    """
    names = [*allowed_hosts, *(f"{name}:*" for name in (host, "localhost", "127.0.0.1"))]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=names,
        allowed_origins=[f"{scheme}://{name}" for name in names for scheme in ("http", "https")],
    )
    # Each answer is complete and no request needs the one before it, so any number of servers may share the work.
    app = server.streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True, transport_security=security
    )
    return OnlyWithKey(app)
