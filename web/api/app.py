"""The FastAPI application. A folder a domain: endpoints that parse, call and return, with their schemas beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from signalflow.settings import Settings
from signalflow.storage.pool import create_pool
from web.api.headers import SecurityHeaders
from web.api.health.endpoints import router as health
from web.api.posts.endpoints import router as posts
from web.api.problems import handle_problems
from web.api.subreddits.endpoints import router as subreddits
from web.dashboard.endpoints import mount_static
from web.dashboard.endpoints import router as dashboard

# An answer that is smaller than a packet gains nothing.
GZIP_FROM_BYTES = 1400


def create_api(settings: Settings) -> FastAPI:
    """The application under these settings. It starts, and answers /health, while the database is away."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = await create_pool(settings, application_name="signalflow-api")
        app.state.pool = pool
        app.state.settings = settings
        try:
            yield
        finally:
            # A statement that hangs must not hold the shutdown up.
            pool.terminate()

    app = FastAPI(
        title="signalflow",
        version=version("signalflow"),
        description="Posts of Reddit within seconds of their creation, and what is taking off.",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        # The stock pages load their scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    handle_problems(app)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES)
    app.add_middleware(SecurityHeaders)
    for router in (health, posts, subreddits, dashboard):
        app.include_router(router)
    mount_static(app)
    return app
