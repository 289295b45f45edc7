"""Asks all parts of the installation at once, each with a time limit: one that hangs does not delay the others."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from time import monotonic
from typing import TypeVar

from signalflow.clock import utcnow
from signalflow.domain.standstill import advice
from signalflow.errors import SignalflowError
from signalflow.kafka.cluster_health import cluster_health
from signalflow.kafka.group_members import unread_partitions
from signalflow.settings import Settings
from signalflow.storage.dead_letters import letter_counts
from signalflow.storage.overview import database_status, first_open_gaps
from signalflow.storage.pool import Pool
from signalflow.storage.workers import WorkerRow, live_workers
from web.api.operations import schemas
from web.services import Services
from web.worker_client import Scraped
from web.worker_metrics import Scrape, rates, visible_seconds

# A part that takes longer counts as away.
PART_SECONDS = 3.0
SEEN_WITHIN = timedelta(hours=1)
SHOWN_GAPS = 20

P = TypeVar("P", bound=schemas.Part)
# The metrics of each worker that answered, by name and process id.
Scrapes = dict[tuple[str, int], Scrape]


async def collect(services: Services) -> schemas.Operations:
    """The state of the installation. A part that is away raises nothing; it says so in the answer."""
    budget = schemas.Budget(available=False, limit=services.settings.request_budget)
    pool = services.pool
    (workers, scrapes), letters, gaps, database, kafka = await asyncio.gather(
        _workers(services),
        _part(lambda: _dead_letters(pool), schemas.DeadLettersPart),
        _part(lambda: _gaps(pool), schemas.Gaps),
        _part(lambda: _database(pool), schemas.Database),
        _part(lambda: _kafka(services.settings), schemas.Kafka),
    )
    return schemas.Operations(
        computed_at=utcnow(),
        version=version("signalflow"),
        workers=workers,
        flow=flow(workers),
        budget=spent(budget, workers, scrapes),
        dead_letters=letters,
        gaps=gaps,
        database=database,
        kafka=kafka,
    )


async def _workers(services: Services) -> tuple[schemas.Workers, Scrapes]:
    seen: list[WorkerRow] = []

    async def rows() -> schemas.Workers:
        seen.extend(await live_workers(services.pool, SEEN_WITHIN))
        return schemas.Workers(available=True)

    workers = await _part(rows, schemas.Workers)
    scraped = await services.workers.scrape(seen)
    workers.items = [shown(worker, scrape) for worker, scrape in zip(seen, scraped, strict=True)]
    scrapes = {
        (worker.name, worker.pid): scrape.now
        for worker, scrape in zip(seen, scraped, strict=True)
        if isinstance(scrape.now, Scrape)
    }
    return workers, scrapes


async def _dead_letters(pool: Pool) -> schemas.DeadLettersPart:
    counts: Counter[str] = Counter()
    oldest = []
    for count in await letter_counts(pool):
        counts[count.state] += count.letters
        if count.state == "dead":
            oldest.append(count.oldest)
    return schemas.DeadLettersPart(available=True, counts=dict(counts), oldest_dead=min(oldest, default=None))


async def _gaps(pool: Pool) -> schemas.Gaps:
    number, gaps = await first_open_gaps(pool, SHOWN_GAPS)
    items = [
        schemas.GapOut(
            id=gap.id,
            subreddits=gap.subreddits,
            kind=gap.kind,
            since=gap.since,
            pages=gap.pages,
            opened_at=gap.opened_at,
        )
        for gap in gaps
    ]
    return schemas.Gaps(available=True, open=number, items=items)


async def _database(pool: Pool) -> schemas.Database:
    begun = monotonic()
    status = await database_status(pool)
    return schemas.Database(
        available=True,
        milliseconds=(monotonic() - begun) * 1000,
        mode=status.mode,
        newest_observation=status.newest_observation,
        size_bytes=status.size_bytes,
    )


async def _kafka(settings: Settings) -> schemas.Kafka:
    begun = monotonic()
    health, unread = await asyncio.gather(cluster_health(settings), unread_partitions(settings))
    return schemas.Kafka(
        available=True,
        milliseconds=(monotonic() - begun) * 1000,
        brokers=health.brokers,
        topics_missing=health.topics_missing,
        replicas_out_of_sync=health.replicas_out_of_sync,
        partitions_unread=None if unread is None else {topic: len(which) for topic, which in unread.items()},
    )


async def _part(ask: Callable[[], Awaitable[P]], kind: type[P]) -> P:
    try:
        async with asyncio.timeout(PART_SECONDS):
            return await ask()
    except SignalflowError as error:
        return kind(available=False, reason=str(error))
    except TimeoutError:
        return kind(available=False, reason=f"no answer within {PART_SECONDS:g} s")


def shown(worker: WorkerRow, scraped: Scraped) -> schemas.WorkerOut:
    """The worker as the API shows it."""
    now, before = scraped
    if isinstance(now, Scrape):
        metrics = schemas.WorkerMetrics(
            available=True,
            lag=now.lag,
            oldest_unprocessed_seconds=now.oldest,
            commits_beyond_end=now.beyond_end,
            partitions_standing_still=now.standing_still,
            rewinds=now.rewinds,
            records_per_second=rates(before, now),
            records_total=now.records,
            visible_seconds=visible_seconds(before, now),
        )
    else:
        metrics = schemas.WorkerMetrics(available=False, reason=now)
    silent = worker.is_silent
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
    """The sum over all workers. Times are the mean of the workers that measured one."""
    if not workers.available:
        return schemas.Flow(available=False, reason=workers.reason)
    living = [worker for worker in workers.items if worker.status != "silent"]
    asked = [worker.metrics for worker in living if worker.metrics.available]
    if not asked:
        return schemas.Flow(available=False, reason="no worker could be asked; `signalflow status` shows what runs")
    # The lag of a topic is the sum over workers. For a moment both workers count a partition that moved.
    lag: Counter[str] = Counter()
    for metrics in asked:
        lag.update(metrics.lag)
    measured = [metrics.records_per_second for metrics in asked if metrics.records_per_second is not None]
    visible = [metrics.visible_seconds for metrics in asked if metrics.visible_seconds is not None]
    return schemas.Flow(
        available=True,
        complete=len(asked) == len(living),
        lag=dict(lag),
        oldest_unprocessed_seconds=max(metrics.oldest_unprocessed_seconds for metrics in asked),
        commits_beyond_end=sum(metrics.commits_beyond_end for metrics in asked),
        partitions_standing_still=sum(metrics.partitions_standing_still for metrics in asked),
        rewinds=sum(metrics.rewinds for metrics in asked),
        records_per_second=_added(measured) if measured else None,
        visible_seconds=sum(visible) / len(visible) if visible else None,
    )


def spent(budget: schemas.Budget, workers: schemas.Workers, scrapes: Scrapes) -> schemas.Budget:
    """The budget as the poller counts it."""
    poller = next((worker for worker in workers.items if worker.is_poller), None)
    if poller is None:
        reason = workers.reason or "no worker polls at the moment"
        return budget.model_copy(update={"reason": reason})
    scrape = scrapes.get((poller.name, poller.pid))
    if scrape is None:
        return budget.model_copy(update={"poller": poller.name, "reason": poller.metrics.reason})
    unanswered: dict[str, datetime | str] = {}
    for why, since in scrape.unanswered_since.items():
        moment = datetime.fromtimestamp(since, UTC)
        unanswered = {"unanswered_since": moment, "unanswered_reason": why, "what_to_do": advice(why)}
    return budget.model_copy(
        update={
            "available": True,
            "poller": poller.name,
            "used": scrape.budget_used,
            "requests_total": scrape.requests,
        }
        | unanswered
    )


def _added(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        for name, value in row.items():
            total[name] += value
    return dict(total)
