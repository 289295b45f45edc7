"""Who may use a worker's web views: anybody on loopback, or whoever sends the installation's token."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import SecretStr

from signalflow.bearer import carries

# An orchestrator asks for these without a secret; they tell nothing of posts.
OPEN = frozenset({"/live", "/ready"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


def closed_without(token: SecretStr) -> list[Middleware]:
    """The middleware that asks for `Authorization: Bearer` with this token, but not for health; none without a token.

    Faust passes a request for the state of a post on to the worker that owns it, with the header.
    """
    if not token.get_secret_value():
        return []

    @web.middleware
    async def with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_open = request.path.rstrip("/") in OPEN and request.method in {"GET", "HEAD"}
        if is_open or carries(request.headers.get("Authorization", ""), token):
            return await handler(request)
        raise web.HTTPUnauthorized(
            text="Send `Authorization: Bearer` with SIGNALFLOW_WORKER_TOKEN.", headers={"WWW-Authenticate": "Bearer"}
        )

    return [with_token]
