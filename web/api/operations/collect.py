"""Asks all parts at once, each within a short time, so that one that hangs keeps nothing from the others."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from importlib.metadata import version
from time import monotonic
from typing import TypeVar

import httpx

from signalflow.clock import utcnow
from signalflow.errors import SignalflowError
from signalflow.kafka.cluster_health import cluster_health
from signalflow.settings import Settings
from signalflow.storage.dead_letters import letter_counts
from signalflow.storage.overview import SeenWorker, database_status, first_open_gaps, seen_workers
from signalflow.storage.pool import Pool
from web.api.operations import schemas
from web.api.operations.metrics import Scrape, parsed, rates, visible_seconds

# A part that takes longer is not well, whatever it would answer.
PART_SECONDS = 3.0
WORKER_SECONDS = 1.5
MOST_METRICS_BYTES = 2_000_000
# Answers are shared for so long: many open dashboards must not become a load of their own.
SHARED_SECONDS = 2.0
SEEN_WITHIN = timedelta(hours=1)
# Heartbeats come every 5 s (agents/heartbeat.py).
SILENT_AFTER_SECONDS = 15.0
SHOWN_GAPS = 20

P = TypeVar("P", bound=schemas.Part)
Looks = dict[tuple[str, int], Scrape]


class Collector:
    """One collection at a time, for whoever asks meanwhile; remembers the last look at each worker, from which rates come."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._looks: Looks = {}
        self._lock = asyncio.Lock()
        self._last: tuple[float, schemas.Operations] | None = None

    async def operations(self) -> schemas.Operations:
        """How the installation is, at most SHARED_SECONDS old. Never raises for a part that is away."""
        async with self._lock:
            if self._last is None or monotonic() - self._last[0] >= SHARED_SECONDS:
                self._last = monotonic(), await self._collect()
            return self._last[1]

    async def _collect(self) -> schemas.Operations:
        budget = schemas.Budget(available=False, limit=self._settings.requests_per_minute)
        (workers, looks), letters, gaps, database, kafka = await asyncio.gather(
            self._workers(),
            _part(self._dead_letters, schemas.DeadLetters),
            _part(self._gaps, schemas.Gaps),
            _part(self._database, schemas.Database),
            _part(self._kafka, schemas.Kafka),
        )
        return schemas.Operations(
            computed_at=utcnow(),
            version=version("signalflow"),
            workers=workers,
            flow=flow(workers),
            budget=spent(budget, workers, looks),
            dead_letters=letters,
            gaps=gaps,
            database=database,
            kafka=kafka,
        )

    async def _workers(self) -> tuple[schemas.Workers, Looks]:
        seen: list[SeenWorker] = []

        async def rows() -> schemas.Workers:
            seen.extend(await seen_workers(self._pool, SEEN_WITHIN))
            return schemas.Workers(available=True)

        workers = await _part(rows, schemas.Workers)
        # Addresses come from our own table; the environment's proxies are not for them.
        async with httpx.AsyncClient(timeout=WORKER_SECONDS, trust_env=False) as client:
            asked = await asyncio.gather(*(_look(client, worker) for worker in seen))
        looks = {
            (worker.name, worker.pid): look
            for worker, look in zip(seen, asked, strict=True)
            if isinstance(look, Scrape)
        }
        workers.items = [
            shown(worker, look, self._looks.get((worker.name, worker.pid)))
            for worker, look in zip(seen, asked, strict=True)
        ]
        self._looks = looks
        return workers, looks

    async def _dead_letters(self) -> schemas.DeadLetters:
        counts: Counter[str] = Counter()
        oldest = []
        for count in await letter_counts(self._pool):
            counts[count.state] += count.letters
            if count.state == "dead":
                oldest.append(count.oldest)
        return schemas.DeadLetters(available=True, counts=dict(counts), oldest_dead=min(oldest, default=None))

    async def _gaps(self) -> schemas.Gaps:
        number, gaps = await first_open_gaps(self._pool, SHOWN_GAPS)
        items = [
            schemas.GapOut(
                id=gap.id, subreddits=gap.subreddits, since=gap.since, pages=gap.pages, opened_at=gap.opened_at
            )
            for gap in gaps
        ]
        return schemas.Gaps(available=True, open=number, items=items)

    async def _database(self) -> schemas.Database:
        begun = monotonic()
        status = await database_status(self._pool)
        return schemas.Database(
            available=True,
            milliseconds=(monotonic() - begun) * 1000,
            mode=status.mode,
            newest_observation=status.newest_observation,
            size_bytes=status.size_bytes,
        )

    async def _kafka(self) -> schemas.Kafka:
        begun = monotonic()
        health = await cluster_health(self._settings)
        return schemas.Kafka(
            available=True,
            milliseconds=(monotonic() - begun) * 1000,
            brokers=health.brokers,
            topics_missing=health.topics_missing,
            replicas_out_of_sync=health.replicas_out_of_sync,
        )


async def _part(ask: Callable[[], Awaitable[P]], kind: type[P]) -> P:
    try:
        async with asyncio.timeout(PART_SECONDS):
            return await ask()
    except SignalflowError as error:
        return kind(available=False, reason=str(error))
    except TimeoutError:
        return kind(available=False, reason=f"no answer within {PART_SECONDS:g} s")


async def _look(client: httpx.AsyncClient, worker: SeenWorker) -> Scrape | str:
    """What the worker counts, or why it cannot be asked."""
    if worker.heartbeat_age > SILENT_AFTER_SECONDS:
        return f"no heartbeat for {worker.heartbeat_age:.0f} s; see its log, or start it again"
    try:
        answer = await client.get(f"{worker.web_url.rstrip('/')}/metrics")
        answer.raise_for_status()
        if len(answer.content) > MOST_METRICS_BYTES:
            return "its metrics are too long to be ours"
        return parsed(answer.text, monotonic())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return (
            f"its web views do not answer ({type(error).__name__}); is SIGNALFLOW_WORKER_WEB_HOST reachable from here?"
        )


def shown(worker: SeenWorker, look: Scrape | str, before: Scrape | None) -> schemas.WorkerOut:
    """The worker as the API gives it."""
    if isinstance(look, Scrape):
        metrics = schemas.WorkerMetrics(
            available=True,
            lag=look.lag,
            records_per_second=rates(before, look),
            records_total=look.records,
            visible_seconds=visible_seconds(before, look),
        )
    else:
        metrics = schemas.WorkerMetrics(available=False, reason=look)
    silent = worker.heartbeat_age > SILENT_AFTER_SECONDS
    return schemas.WorkerOut(
        name=worker.name,
        pid=worker.pid,
        state=worker.state,
        status="silent" if silent else "recovering" if worker.state == "recovering" else "running",
        is_poller=worker.is_poller and not silent,
        is_leader=worker.is_leader and not silent,
        started_at=worker.started_at,
        heartbeat_at=worker.heartbeat_at,
        heartbeat_age_seconds=worker.heartbeat_age,
        metrics=metrics,
    )


def flow(workers: schemas.Workers) -> schemas.Flow:
    """The workers' numbers added up; times are the mean of those that have one."""
    if not workers.available:
        return schemas.Flow(available=False, reason=workers.reason)
    living = [worker for worker in workers.items if worker.status != "silent"]
    asked = [worker.metrics for worker in living if worker.metrics.available]
    if not asked:
        return schemas.Flow(available=False, reason="no worker could be asked; `signalflow status` shows what runs")
    # A partition that moved is for a moment in the numbers of both workers; each topic's lag is the sum of what they name.
    lag: Counter[str] = Counter()
    for metrics in asked:
        lag.update(metrics.lag)
    measured = [metrics.records_per_second for metrics in asked if metrics.records_per_second is not None]
    visible = [metrics.visible_seconds for metrics in asked if metrics.visible_seconds is not None]
    return schemas.Flow(
        available=True,
        complete=len(asked) == len(living),
        lag=dict(lag),
        records_per_second=_added(measured) if measured else None,
        visible_seconds=sum(visible) / len(visible) if visible else None,
    )


def spent(budget: schemas.Budget, workers: schemas.Workers, looks: Looks) -> schemas.Budget:
    """The budget as the worker that polls counts it."""
    poller = next((worker for worker in workers.items if worker.is_poller), None)
    if poller is None:
        reason = workers.reason or "no worker polls at the moment"
        return budget.model_copy(update={"reason": reason})
    look = looks.get((poller.name, poller.pid))
    if look is None:
        return budget.model_copy(update={"poller": poller.name, "reason": poller.metrics.reason})
    return budget.model_copy(
        update={
            "available": True,
            "poller": poller.name,
            "used": look.budget_used,
            "requests_total": look.requests,
        }
    )


def _added(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        for name, value in row.items():
            total[name] += value
    return dict(total)
