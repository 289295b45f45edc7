"""Protection of browsers that show our pages: response headers, and a check of the Host header."""

from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import refusal

# Everything from our own address, nothing inline: untrusted text could not run even if it were not escaped.
# In connect-src, 'self' covers the socket of the same address too (CSP 3).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Nothing to other sites. With `no-referrer` a browser would send the Origin `null` with our own form, and sign-in
    # fails.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """ASGI middleware that adds HEADERS to every response but the 500 for an unexpected error.

    Starlette sends that one past all middleware. It has no text but our own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """ASGI middleware that answers only under our own names.

    An attacker can let a name of his own resolve to our address (DNS rebinding), so that his pages have our origin.
    This is impossible with an IP address, and with a name without a dot, which nobody can register (`localhost`, a
    container).
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_known(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        detail = "This API does not answer under that name; SIGNALFLOW_API_ALLOWED_HOSTS lists the names that it has."
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
