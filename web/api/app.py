"""The FastAPI application. A folder a domain: endpoints that parse, call and return, with their schemas beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from pwdlib import PasswordHash

from signalflow.kafka.write_errors import use_our_connections
from signalflow.settings import Settings
from signalflow.storage.api_keys import Scope
from signalflow.storage.pool import create_pool
from web.api.about.endpoints import router as about
from web.api.audit.endpoints import router as audit
from web.api.auth.access import SignInNeeded, redirect_to_sign_in, within
from web.api.auth.accounts import Accounts
from web.api.auth.paths import SIGN_IN_LINK
from web.api.auth.session_endpoints import own as own_session
from web.api.auth.session_endpoints import router as sessions
from web.api.auth.token_endpoints import router as tokens
from web.api.auth.tokens import Signer
from web.api.conditional import ConditionalReads, HeadAsGet
from web.api.dlq.endpoints import router as dlq
from web.api.headers import KnownHosts, SecurityHeaders, allowed_hosts
from web.api.health.endpoints import router as health
from web.api.keywords.endpoints import router as keywords
from web.api.limits import BodyLimit, Limiter, RateLimits
from web.api.metrics.endpoints import router as metrics
from web.api.operations.endpoints import router as operations
from web.api.posts.endpoints import router as posts
from web.api.problems import documented, handle_problems
from web.api.reading import open_reading
from web.api.stats.endpoints import router as stats
from web.api.subreddits.endpoints import router as subreddits
from web.api.tables.endpoints import router as tables
from web.dashboard.endpoints import mount_static
from web.dashboard.endpoints import router as dashboard
from web.live.endpoints import router as live
from web.live.endpoints import sockets
from web.live.hub import Hub

# An answer that is smaller than a packet gains nothing.
GZIP_FROM_BYTES = 1400
# The levels above take three times as long for a tenth less.
GZIP_LEVEL = 4

ACCOUNTS_CONNECTIONS = 2

# A router is open, or within a scope: signed in as a reader at least, and an API key needs the scope (`read` for what only reads).
# Endpoints that need a higher role take it themselves (web/api/auth/access.py).
OPEN: tuple[APIRouter, ...] = (health, tokens, sessions, sockets)
WITHIN: tuple[tuple[APIRouter, Scope], ...] = (
    (posts, "read"),
    (stats, "read"),
    (keywords, "read"),
    (tables, "read"),
    (subreddits, "config"),
    (dlq, "dlq"),
    (operations, "read"),
    (about, "read"),
    (live, "read"),
    (metrics, "read"),
    (own_session, "read"),
    (audit, "admin"),
    (dashboard, "read"),
)


def create_api(settings: Settings, hasher: PasswordHash | None = None) -> FastAPI:
    """The application under these settings. It starts, and answers /health, while the database is away.

    Raises Fatal when the secret is missing or weak. `hasher` replaces argon2 as recommended.
    """
    use_our_connections()
    signer = Signer.of(settings.api_secret.get_secret_value())
    limiter = Limiter(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = await create_pool(settings, application_name="signalflow-api")
        app.state.pool = pool
        app.state.settings = settings
        app.state.limiter = limiter
        # Connections of its own: endpoints that hold all of theirs must not keep who asks from being looked up.
        of_accounts = settings.model_copy(update={"database_pool_size": ACCOUNTS_CONNECTIONS})
        accounts_pool = await create_pool(of_accounts, application_name="signalflow-api-accounts")
        accounts = app.state.accounts = Accounts.of(settings, signer, accounts_pool, hasher)
        # As much for the check of readiness: slow reads do not make it fail, and who asks for it without end holds up none of them.
        of_readiness = settings.model_copy(update={"database_pool_size": 1})
        app.state.readiness_pool = await create_pool(of_readiness, application_name="signalflow-api-ready")
        app.state.live = Hub(settings)
        try:
            async with open_reading(settings) as app.state.reading, app.state.live.running():
                yield
        finally:
            accounts.close()
            # A statement that hangs must not hold the shutdown up.
            pool.terminate()
            accounts_pool.terminate()
            app.state.readiness_pool.terminate()

    app = FastAPI(
        title="signalflow",
        version=version("signalflow"),
        description="Posts of Reddit within seconds of their creation, and what is taking off.",
        lifespan=lifespan,
        # The document has a route of its own below, within `read`; the stock pages load their scripts from elsewhere, which the
        # content security policy forbids.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    handle_problems(app)
    app.add_exception_handler(SignInNeeded, redirect_to_sign_in)
    # The last one added comes first.
    app.add_middleware(ConditionalReads)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(HeadAsGet, but=frozenset({SIGN_IN_LINK}))
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimits, limiter=limiter)
    app.add_middleware(KnownHosts, allowed=allowed_hosts(settings.api_allowed_hosts))
    app.add_middleware(SecurityHeaders)
    _include_all(app)
    mount_static(app)
    return app


def _include_all(app: FastAPI) -> None:
    document = APIRouter(include_in_schema=False)
    document.add_api_route("/api/openapi.json", app.openapi, response_model=None)
    for router in OPEN:
        app.include_router(router)
    refusals = documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
    for router, scope in (*WITHIN, (document, "read")):
        app.include_router(router, dependencies=[within(scope)], responses=refusals)
