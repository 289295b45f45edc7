"""How much clients may send: requests by rate, and the size of a request."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.limiter import RATE, Limiter, address_of, too_many
from web.problems import refusal

# A list of 10,000 subreddits as CSV is 400 kB.
MAX_BODY_BYTES = 1 << 20
# Health checks and static files must work whatever other clients of the address do.
UNLIMITED = ("/health", "/ready", "/static/")


class RateLimits:
    """ASGI middleware: counts requests and sockets by address before any lookup. Each response reports a limit."""

    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(UNLIMITED):
            scope[RATE] = {}
            await self._app(scope, receive, send)
            return
        verdict = await self._limiter.hit(self._limiter.per_address, "address", address_of(scope))
        if not verdict.allowed:
            await refusal(429, too_many(verdict), verdict.headers)(scope, receive, send)
            return
        # `enforce` replaces it by the limit of the user, of the key or of signing in.
        rate = scope[RATE] = {"verdict": verdict}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name for name, _ in message["headers"]}
                fields = [(k.lower().encode(), v.encode()) for k, v in rate["verdict"].headers.items()]
                message["headers"] = [*message["headers"], *(field for field in fields if field[0] not in have)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """ASGI middleware: refuses a body above MAX_BODY_BYTES, by its Content-Length, or else once it has grown larger."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
            await refusal(413, _TOO_LARGE)(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, receive_within_limit, send)


_TOO_LARGE = f"The body of a request may have {MAX_BODY_BYTES} bytes."
