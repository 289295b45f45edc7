"""Who may use a worker's web views: anybody on loopback, or whoever sends the installation's token."""

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import SecretStr

# An orchestrator asks for these without a secret; they tell nothing of posts.
OPEN = frozenset({"/live", "/ready"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


def closed_without(token: SecretStr) -> list[Middleware]:
    """The middleware that asks for `Authorization: Bearer` with this token, but not for health; none without a token.

    Faust passes a request for the state of a post on to the worker that owns it, with the header.
    """
    secret = token.get_secret_value().encode()
    if not secret:
        return []

    @web.middleware
    async def with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # Bytes, because text with other characters than ASCII cannot be compared.
        is_known = scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode(errors="surrogateescape"), secret
        )
        if is_known or (request.path.rstrip("/") in OPEN and request.method in {"GET", "HEAD"}):
            return await handler(request)
        raise web.HTTPUnauthorized(
            text="Send `Authorization: Bearer` with SIGNALFLOW_WORKER_TOKEN.", headers={"WWW-Authenticate": "Bearer"}
        )

    return [with_token]
