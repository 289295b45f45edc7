"""The FastAPI application: all routers, each open or within a scope, and the middleware around them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from pwdlib import PasswordHash
from starlette.routing import Route, WebSocketRoute

from signalflow.domain.words import KeyScope
from signalflow.kafka.closed_connections import survive_closed_connections
from signalflow.settings import Settings
from web.access import SignInNeeded, is_opened_by_browser, redirect_to_sign_in, scraping, within
from web.api.about.endpoints import router as about
from web.api.alerts.deliveries import router as alert_deliveries
from web.api.alerts.feed import router as alert_feed
from web.api.alerts.history import router as alert_history
from web.api.alerts.rules import router as alert_rules
from web.api.alerts.targets import router as alert_targets
from web.api.audit.endpoints import router as audit
from web.api.comments.endpoints import router as comments
from web.api.coverage.endpoints import router as coverage
from web.api.digest.endpoints import router as digest
from web.api.dlq.endpoints import router as dlq
from web.api.erasure.endpoints import router as erasure
from web.api.exports.endpoints import router as exports
from web.api.health.endpoints import router as health
from web.api.keywords.endpoints import router as keywords
from web.api.known_query import KnownQuery
from web.api.live.endpoints import router as live
from web.api.live.endpoints import sockets
from web.api.metrics.endpoints import router as metrics
from web.api.operations.endpoints import router as operations
from web.api.posts.endpoints import router as posts
from web.api.runs.endpoints import router as runs
from web.api.sign_in.sessions import own as own_session
from web.api.sign_in.sessions import router as sessions
from web.api.sign_in.tokens import router as tokens
from web.api.signals.endpoints import router as signals
from web.api.stats.endpoints import router as stats
from web.api.subreddits.endpoints import router as subreddits
from web.api.tables.endpoints import router as tables
from web.api.topics.endpoints import router as topics
from web.api.trending.endpoints import router as trending
from web.auth.paths import SIGN_IN_LINK
from web.auth.tokens import Signer
from web.dashboard.endpoints import mount_static, not_found
from web.dashboard.endpoints import router as dashboard
from web.limiter import Limiter
from web.middleware.conditional import ConditionalReads, HeadAsGet
from web.middleware.headers import KnownHosts, SecurityHeaders, allowed_hosts
from web.middleware.limits import BodyLimit, RateLimits
from web.middleware.measured import Measured, RouteFound
from web.middleware.slashes import TrailingSlashes
from web.problems import describe_problems, documented, handle_problems, on_http_exception
from web.request_ids import RequestIds
from web.services import open_services, set_services

# An answer that fits a packet is not sent faster for being compressed.
GZIP_FROM_BYTES = 1400
# Higher levels take three times as long, and save a tenth more.
GZIP_LEVEL = 4

# A router is open, or within a scope: the client has signed in as a reader at least, and an API key has the scope
# (`read` is enough for reading). Endpoints that need a higher role take it themselves (web/access.py).
OPEN: tuple[APIRouter, ...] = (health, tokens, sessions, alert_feed)
WITHIN: tuple[tuple[APIRouter, KeyScope], ...] = (
    (posts, "read"),
    (comments, "read"),
    (exports, "read"),
    (signals, "read"),
    (topics, "read"),
    (stats, "read"),
    (keywords, "read"),
    (digest, "read"),
    (coverage, "read"),
    (tables, "read"),
    # Before the address of one subreddit by its name.
    (trending, "read"),
    (subreddits, "config"),
    (alert_rules, "config"),
    (alert_targets, "config"),
    (alert_deliveries, "config"),
    (alert_history, "read"),
    (dlq, "dlq"),
    (operations, "read"),
    (runs, "read"),
    (erasure, "read"),
    (about, "read"),
    (live, "read"),
    (own_session, "read"),
    (audit, "admin"),
    (dashboard, "read"),
)


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            describe_problems(super().openapi())
        return super().openapi()


def create_api(settings: Settings, hasher: PasswordHash | None = None) -> FastAPI:
    """The application under these settings. It starts, and answers /health, while the database is away.

    Raises Fatal when the secret is missing or weak. `hasher` replaces argon2 with its recommended parameters.
    """
    survive_closed_connections()
    signer = Signer.of(settings.api_secret.get_secret_value())
    limiter = Limiter(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, signer, limiter, hasher) as services:
            set_services(app, services)
            yield

    app = _Api(
        title="signalflow",
        version=version("signalflow"),
        description="Posts of Reddit within seconds of their creation, and what is taking off.",
        lifespan=lifespan,
        # The document has a route of its own below, within `read`. FastAPI's pages load scripts from other sites, which
        # the content security policy forbids.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    handle_problems(app)
    app.add_exception_handler(SignInNeeded, redirect_to_sign_in)
    app.add_exception_handler(HTTPStatus.NOT_FOUND, _nothing_there)
    paths = _include_all(app)
    mount_static(app)
    # The last one added comes first.
    app.add_middleware(RouteFound)
    app.add_middleware(ConditionalReads)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(HeadAsGet, but=frozenset({SIGN_IN_LINK}))
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimits, limiter=limiter)
    app.add_middleware(TrailingSlashes, registered=paths)
    app.add_middleware(KnownHosts, allowed=allowed_hosts(settings.api_allowed_hosts))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestIds)
    app.add_middleware(Measured)
    return app


async def _nothing_there(request: Request, error: Exception) -> Response:
    """A page for a person who follows a link, a problem for a program."""
    is_page = is_opened_by_browser(request) and not request.url.path.startswith("/api/")
    return not_found() if is_page else await on_http_exception(request, error)


def _include_all(app: FastAPI) -> list[re.Pattern[str]]:
    """Add all routers; returns the paths of their routes."""
    document = APIRouter(include_in_schema=False)
    document.add_api_route("/api/openapi.json", app.openapi, response_model=None)
    within_scope = (*WITHIN, (document, "read"))
    known_query = Depends(KnownQuery())
    # A socket checks its query itself: dependencies are made for requests.
    app.include_router(sockets)
    for router in OPEN:
        app.include_router(router, dependencies=[known_query])
    refusals = documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
    for router, scope in within_scope:
        app.include_router(router, dependencies=[within(scope), known_query], responses=refusals)
    app.include_router(metrics, dependencies=[Depends(scraping), known_query], responses=refusals)
    routers = [sockets, *OPEN, metrics, *(router for router, _ in within_scope)]
    return [
        route.path_regex for router in routers for route in router.routes if isinstance(route, Route | WebSocketRoute)
    ]
