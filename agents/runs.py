"""The run history of this worker: jobs are noted in its book, and a timer writes the book to the database."""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable

import structlog

from agents.resources import ResourcesOf
from signalflow.clock import steady
from signalflow.domain.run_history import RunBook
from signalflow.domain.words import RunKind, RunOutcome
from signalflow.errors import Retryable, SignalflowError
from signalflow.metrics import JOB_RUNS
from signalflow.storage.pool import Pool
from signalflow.storage.runs import write_runs
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

log = structlog.get_logger()

EVERY_SECONDS = 5.0
# A stop waits no longer than this for a database that is away. The runs then have no end.
FAREWELL_SECONDS = 1.0


def recorded(book: RunBook, kind: RunKind) -> Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]:
    """Decorate a job: each time is a run of this kind, and counted. What the job raises is raised on."""

    def decorate(body: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        @functools.wraps(body)
        async def job() -> None:
            run = book.begin(kind, steady())

            def end(outcome: RunOutcome, error: str | None = None) -> None:
                book.end(run, outcome, steady(), error)
                JOB_RUNS.labels(kind=kind, outcome=outcome).inc()

            try:
                await body()
            except SignalflowError as error:
                end("failed", f"{type(error).__name__}: {error}")
                raise
            except Exception as error:
                # Its text may hold anything, so it stays in the log.
                end("failed", type(error).__name__)
                raise
            except asyncio.CancelledError:
                end("stopped")
                raise
            end("ok")

        return job

    return decorate


def register(app: Application, book: RunBook, resources: ResourcesOf) -> None:
    """Add the timer to the app: on every worker, since a deputy polls too."""

    @app.timer(interval=EVERY_SECONDS, name="runs")
    @guarded("runs")
    async def write() -> None:
        await write_book(book, resources().pool, app.workspace.name)


async def write_book(book: RunBook, pool: Pool, worker: str) -> None:
    """Write what was not written yet. Raises Retryable while the database is away; then the next call repeats it."""
    reports = book.reports(steady())
    if reports:
        await write_runs(pool, worker, reports)
        book.told(reports)
    if book.dropped:
        log.warning("runs_dropped", runs=book.dropped, reason="the database was away for too long")
        book.dropped = 0


async def write_last(book: RunBook, pool: Pool, worker: str) -> None:
    """Write the ends of runs when the worker stops, if the database answers in time."""
    with contextlib.suppress(Retryable, TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await write_book(book, pool, worker)
