"""The ingest agent: one worker, usually Faust's leader, polls Reddit and publishes to the raw topic."""

from collections.abc import Callable
from uuid import uuid4

import structlog

from agents.ingest_sources import DatabaseSources, WorkersTable
from agents.resources import ResourcesOf
from signalflow.domain.budget import Budget
from signalflow.domain.run_history import RunBook
from signalflow.reddit.poller import Poller
from signalflow.reddit.polling import Polling
from signalflow.reddit.ports import CommentPorts, Permit
from signalflow.reddit.sources import budget_of, client_of, why_no_source
from signalflow.settings import Settings
from signalflow.storage.lease import PollingLease
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

log = structlog.get_logger()

EVERY_SECONDS = 2.0


def polling_of(
    settings: Settings, resources: ResourcesOf, book: RunBook, *, name: str, leads_until: Callable[[], float]
) -> Polling:
    """The polling of the worker with this name, whose runs are noted in the book.

    `leads_until` says until when, by `clock.steady`, this worker is surely the group's leader.
    """
    sources = DatabaseSources(lambda: resources().pool)
    of_first_looks = DatabaseSources(lambda: resources().pool, "first_look")
    of_comments = DatabaseSources(lambda: resources().pool, "comments")

    async def poll(budget: Budget, permit: Permit) -> None:
        client = client_of(settings)
        poller = Poller(
            settings,
            client=client,
            publisher=resources().publisher,
            ledger=sources,
            first_looks=of_first_looks,
            config=sources,
            known=sources,
            discovery=sources,
            runs=sources,
            comments=CommentPorts(resources().comment_publisher, of_comments, of_comments, of_comments, of_comments),
            texts=sources,
            erasures=sources,
            budget=budget,
            permit=permit,
            run_book=book,
        )
        try:
            await poller.run()
        finally:
            await client.close()

    return Polling(
        # Another process of the same name, such as this worker after a restart, is another holder.
        PollingLease(settings, f"{name} {uuid4().hex[:12]}"),
        WorkersTable(lambda: resources().pool, name),
        poll,
        budget_of(settings),
        leads_until,
    )


def why_it_cannot_poll(settings: Settings) -> str | None:
    """What keeps a worker with these settings from polling; None when nothing does."""
    if not settings.poll_enabled:
        return "SIGNALFLOW_POLL_ENABLED is off"
    return why_no_source(settings)


def register(app: Application, settings: Settings, resources: ResourcesOf, book: RunBook) -> Callable[[], bool]:
    """Add the leader timer to the app, unless these settings forbid polling.

    Returns a function that says whether this worker polls now.
    """
    polling = polling_of(settings, resources, book, name=app.workspace.name, leads_until=app.leads_until)
    reason = why_it_cannot_poll(settings)
    if reason is not None:
        log.info("polling_off", reason=reason)
        return polling.is_polling

    # On every worker: a worker that stops being leader has to notice it.
    @app.timer(interval=EVERY_SECONDS, name="ingest")
    @guarded("ingest")
    async def tick() -> None:
        await polling.tick(is_leader=app.is_leader(), is_rebalancing=app.rebalancing)

    async def stop(sender: object = None, **_: object) -> None:
        await polling.close()

    app.on_before_shutdown.connect(stop, weak=False)
    return polling.is_polling
