"""Examines PostgreSQL: durability, schema, locale, clock, replica, workers, and what stands in the way of polling."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from signalflow.clock import utcnow
from signalflow.doctor.finding import Finding
from signalflow.errors import SignalflowError
from signalflow.settings import Settings
from signalflow.storage.pool import Pool, connection, create_pool
from signalflow.storage.schema import check_schema
from signalflow.storage.workers import WorkerRow, live_workers

# The oldest version of PostgreSQL that the tests run on.
OLDEST_SERVER = 15
# Times of observations are compared across processes. Kafka and leases bear a second.
CLOCK_SECONDS = 2.0
_FACTS = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
    current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('server_encoding') AS encoding, lower('É') = 'é' AS folds_letters,
    pg_is_in_recovery() AS in_recovery, clock_timestamp() AS now
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself. `now` is its clock."""

    version: str
    major: int
    fsync: bool
    full_page_writes: bool
    encoding: str
    folds_letters: bool
    in_recovery: bool
    now: datetime


async def examine_database(settings: Settings) -> AsyncIterator[Finding]:
    """Raises Retryable when the server is away, Fatal when it refuses user, password or session."""
    async with await create_pool(settings, application_name="signalflow doctor") as pool:
        asked_at = utcnow()
        facts = await _facts_of(pool)
        for finding in judge_server(facts, asked_at, utcnow()):
            yield finding
        try:
            yield Finding("schema", "ok", f"the schema is current, mode {await check_schema(pool)}")
        except SignalflowError as error:
            yield Finding("schema", "wrong", str(error), "run `signalflow migrate`")
            return
        for finding in judge_workers(await live_workers(pool)):
            yield finding
    if settings.database_replica_url.get_secret_value():
        async for finding in _examine_replica(settings):
            yield finding


def judge_server(facts: ServerFacts, asked_at: datetime, answered_at: datetime) -> Iterator[Finding]:
    """What the facts mean for what is promised. This machine's clock says when they were asked and answered."""
    yield Finding("database", "ok", f"PostgreSQL {facts.version} answers")
    if facts.major < OLDEST_SERVER:
        yield Finding("database", "wrong", f"PostgreSQL {facts.major} is too old", f"use {OLDEST_SERVER} or later")
    if facts.in_recovery:
        yield Finding(
            "database", "wrong", "this is a standby: it takes no rows", "let SIGNALFLOW_DATABASE_URL name the primary"
        )
    for name, is_on in (("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)):
        if not is_on:
            yield Finding(
                "database",
                "wrong",
                f"{name} is off: a power cut can destroy the database",
                f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()",
            )
    if facts.encoding != "UTF8":
        yield Finding(
            "database",
            "wrong",
            f"its encoding {facts.encoding} cannot hold every title",
            "make another with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )
    elif not facts.folds_letters:
        yield Finding(
            "database",
            "warning",
            "its locale knows no letters but A to Z: searches mind the case of the others",
            "make another with CREATE DATABASE ... LOCALE 'C.UTF-8' TEMPLATE template0",
        )
    ahead = max((facts.now - answered_at).total_seconds(), (asked_at - facts.now).total_seconds(), 0.0)
    if ahead > CLOCK_SECONDS:
        yield Finding(
            "clock",
            "wrong",
            f"the clocks of this machine and of the database differ by {ahead:.0f} s",
            "let both machines keep their time by NTP",
        )
    else:
        yield Finding("clock", "ok", f"the clocks of this machine and of the database agree within {CLOCK_SECONDS:g} s")


def judge_workers(workers: list[WorkerRow]) -> Iterator[Finding]:
    """Who works, and who polls."""
    if not workers:
        yield Finding("workers", "warning", "no worker runs", "start one: `faust -A signalflow worker`")
        return
    names = ", ".join(worker.name for worker in workers)
    yield Finding("workers", "ok", f"{len(workers)} worker(s) run: {names}")
    if not any(worker.is_poller for worker in workers):
        yield Finding(
            "workers",
            "warning",
            "no worker polls Reddit",
            "wait a minute after a start; then see SIGNALFLOW_POLL_ENABLED, SIGNALFLOW_REDDIT_SOURCE and the log",
        )


async def _examine_replica(settings: Settings) -> AsyncIterator[Finding]:
    url = settings.database_replica_url
    try:
        asked = settings.model_copy(update={"database_url": url})
        async with await create_pool(asked, application_name="signalflow doctor") as pool:
            facts = await _facts_of(pool)
    except SignalflowError as error:
        yield Finding("replica", "wrong", str(error), "see SIGNALFLOW_DATABASE_REPLICA_URL; reads go to the primary")
        return
    if facts.in_recovery:
        yield Finding("replica", "ok", f"PostgreSQL {facts.version} follows a primary")
    else:
        yield Finding(
            "replica",
            "wrong",
            "SIGNALFLOW_DATABASE_REPLICA_URL names a server that is no standby: it is never read",
            "name a streaming standby of the primary, or unset it",
        )


async def _facts_of(pool: Pool) -> ServerFacts:
    async with connection(pool) as reading:
        row: Any = await reading.fetchrow(_FACTS)
    return ServerFacts(**row)
