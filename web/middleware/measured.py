"""How many requests come, how they are answered, and how long that takes, by route."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signalflow.metrics import HTTP_REQUESTS, HTTP_SECONDS

# Clients may send any word as method; each would be a time series of its own.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
ROUTE = "signalflow.route"


class Measured:
    """ASGI middleware, the outermost: measures the time until a response begins. A stream may then last for hours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "other"
        started, status = time.perf_counter(), 0
        # Middleware in between gives the routes a scope of its own, which has the same list.
        found: list[str] = []
        scope[ROUTE] = found

        async def send_measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                HTTP_SECONDS.labels(method=method, route=_first(found)).observe(time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, send_measured)
        finally:
            # Starlette answers an unexpected error past all middleware.
            HTTP_REQUESTS.labels(method=method, route=_first(found), status=str(status or 500)).inc()


class RouteFound:
    """ASGI middleware, the innermost: tells `Measured` which route the request has.

    It is the path with names of parameters, so there are as many time series as routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def tell() -> None:
            if ROUTE in scope and (route := scope.get("route")) is not None:
                scope[ROUTE][:] = [route.path]

        async def send_telling(message: Message) -> None:
            tell()
            await send(message)

        try:
            await self._app(scope, receive, send_telling)
        finally:
            tell()


def _first(found: list[str]) -> str:
    return found[0] if found else NO_ROUTE
