"""All examinations, at the same time; what keeps one from looking is a finding too."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

from signalflow.doctor.brokers import examine_kafka
from signalflow.doctor.database import examine_database
from signalflow.doctor.finding import Finding, Verdict
from signalflow.doctor.machine import (
    examine_disk,
    examine_ports,
    examine_secrets,
    examine_settings,
    examine_versions,
)
from signalflow.doctor.services import api_answers, examine_reddit, examine_redis
from signalflow.errors import SignalflowError
from signalflow.settings import Settings

Examine = Callable[[Settings], AsyncIterator[Finding]]
# What examines a server: its subject, and what to do when it does not answer.
_SERVERS: tuple[tuple[str, Examine, str], ...] = (
    ("kafka", examine_kafka, "start the brokers, or see SIGNALFLOW_KAFKA and SIGNALFLOW_KAFKA_SECURITY"),
    ("database", examine_database, "start PostgreSQL, or see SIGNALFLOW_DATABASE_URL"),
    ("redis", examine_redis, "see SIGNALFLOW_REDIS_URL"),
    ("reddit", examine_reddit, "mend the database first: it tells who polls"),
)


async def examine(settings: Settings) -> list[Finding]:
    """Everything that was found, in one order. Raises nothing for a server that is away or refuses."""
    findings = [
        *examine_versions(),
        *examine_settings(settings, os.environ),
        *examine_secrets(settings),
        *examine_disk(settings),
        *examine_ports(settings, api_answers=await api_answers(settings)),
    ]
    for found in await asyncio.gather(*(_examined(settings, *server) for server in _SERVERS)):
        findings += found
    return findings


async def _examined(settings: Settings, subject: str, examine_it: Examine, fix: str) -> list[Finding]:
    found: list[Finding] = []
    try:
        async for finding in examine_it(settings):
            found.append(finding)  # noqa: PERF401  what was found before an error stays
    except SignalflowError as error:
        # What depends on the database is not wrong by itself.
        verdict: Verdict = "unknown" if subject == "reddit" else "wrong"
        found.append(Finding(subject, verdict, str(error), fix))
    return found
