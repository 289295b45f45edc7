"""What the endpoints share, for as long as the application runs: one typed value, read by `services_of`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from pwdlib import PasswordHash
from starlette.requests import HTTPConnection

from signalflow.settings import Settings
from signalflow.storage.pool import Pool, create_pool
from signalflow.storage.read_router import ReadRouter, open_read_router
from web.auth.accounts import Accounts
from web.auth.tokens import Signer
from web.cache import AnswerCache
from web.erased_answers import ErasedAnswers
from web.limiter import Limiter
from web.live.admission import Admission
from web.live.hub import Hub
from web.live.kinds import COMMENTS, POSTS, SIGNALS
from web.slots import Slots
from web.worker_client import WorkerClient

ACCOUNTS_CONNECTIONS = 2
# Each reads a page at a time, with a connection of the reads.
MOST_EXPORTS = 4


@dataclass(frozen=True, slots=True)
class Services:
    """`cache` is shared by all processes where there is Redis.

    `brief_cache` is this process's own, for a second or two.
    """

    settings: Settings
    pool: Pool
    readiness_pool: Pool
    accounts: Accounts
    limiter: Limiter
    reads: ReadRouter
    cache: AnswerCache
    brief_cache: AnswerCache
    workers: WorkerClient
    hub: Hub
    comment_hub: Hub
    signal_hub: Hub
    exports: Slots

    @property
    def hubs(self) -> tuple[Hub, ...]:
        """All kinds of the live stream. They count their clients together."""
        return self.hub, self.comment_hub, self.signal_hub


@asynccontextmanager
async def open_services(
    settings: Settings, signer: Signer, limiter: Limiter, hasher: PasswordHash | None
) -> AsyncIterator[Services]:
    """The services, opened without a request to any server: they work as soon as the servers answer."""
    async with AsyncExitStack() as stack:

        async def open_pool(name: str, connections: int) -> Pool:
            sized = settings.model_copy(update={"database_pool_size": connections})
            pool = await create_pool(sized, application_name=name)
            # A statement that hangs must not delay the end of the process.
            stack.callback(pool.terminate)
            return pool

        pool = await open_pool("signalflow-api", settings.database_pool_size)
        # Accounts have connections of their own: a user can be looked up while endpoints hold all others.
        accounts_pool = await open_pool("signalflow-api-accounts", ACCOUNTS_CONNECTIONS)
        accounts = Accounts.of(settings, signer, accounts_pool, hasher)
        stack.callback(accounts.close)
        admission = Admission(settings.live_clients, settings.live_clients_per_user)
        reads = await stack.enter_async_context(open_read_router(settings))
        cache = AnswerCache(settings.redis_url.get_secret_value())
        erased_answers = ErasedAnswers(cache, reads)
        services = Services(
            settings=settings,
            pool=pool,
            # The check of readiness as well: slow reads do not make it fail, and many checks do not delay the reads.
            readiness_pool=await open_pool("signalflow-api-ready", 1),
            accounts=accounts,
            limiter=limiter,
            reads=reads,
            cache=cache,
            brief_cache=AnswerCache(),
            workers=WorkerClient(settings.worker_token.get_secret_value()),
            hub=Hub(settings, POSTS, admission, erased_answers.note),
            comment_hub=Hub(settings, COMMENTS, admission),
            signal_hub=Hub(settings, SIGNALS, admission),
            exports=Slots(MOST_EXPORTS, "exports"),
        )
        for close in (services.brief_cache.close, services.cache.close, services.workers.close):
            stack.push_async_callback(close)
        await stack.enter_async_context(erased_answers.running())
        for hub in services.hubs:
            await stack.enter_async_context(hub.running())
        yield services


def set_services(app: FastAPI, services: Services) -> None:
    """Make these the services of the application."""
    app.state.services = services


def services_of(source: HTTPConnection | FastAPI) -> Services:
    """The services of an application, or of the application that a request or socket came to."""
    app = source if isinstance(source, FastAPI) else source.app
    services: Services = app.state.services
    return services
