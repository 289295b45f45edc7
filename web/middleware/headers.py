"""What keeps a browser from doing more with our pages than we meant: response headers, and the check of the Host."""

from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import refusal

# Everything from our own address, nothing inline: text of strangers that slipped through the escaping could still not run.
# In connect-src, 'self' covers the socket of the same address too (CSP 3).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Nothing to other sites. With `no-referrer` a browser would also call the origin of our own form `null`, and could not sign in.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """ASGI middleware that adds HEADERS to every response but one: the 500 for a fault of ours, which Starlette sends past all
    middleware, and which has no text but our own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """ASGI middleware that answers only under names of our own.

    A stranger's page can have its own name resolve to our address (DNS rebinding), and is then of one origin with us. It cannot do
    so with an address, nor with a name without a dot, which no stranger owns (`localhost`, a service of a container network).
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_known(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        detail = "This API is not reached under that name; SIGNALFLOW_API_ALLOWED_HOSTS lists those under which it is."
        await refusal(400, detail)(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        name = host_name(host)
        return name is not None and ("." not in name or name in self._allowed or _is_address(name))


def host_name(host: str) -> str | None:
    """The name in a Host header, without its port and brackets, in lower case; None when it is none."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or "]" in port:
        name, port = host.lower(), "0"
    if not port.isdigit() or not name or any(character in name for character in "/@ "):
        return None
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def allowed_hosts(setting: str) -> frozenset[str]:
    """The names of a comma-separated setting."""
    return frozenset(name.strip().lower() for name in setting.split(",") if name.strip())


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
