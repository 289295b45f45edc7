"""`signalflow doctor` on real servers: each planted misconfiguration is found, and nothing else is."""

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from signalflow.doctor.examination import examine
from signalflow.doctor.finding import Finding
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.admin import _set_configs, check_topics
from signalflow.kafka.clients import admin_client
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from tests.integration.workers import WorkerProcess
from tests.waiting import until

Plant = Callable[[Settings], Awaitable[Settings]]


def with_changes(**changes: Any) -> Plant:
    async def plant(settings: Settings) -> Settings:
        return settings.model_copy(update=changes)

    return plant


async def another_retention(settings: Settings) -> Settings:
    async with admin_client(settings) as admin:
        await _set_configs(admin, {TopicNames.of(settings).posts_raw: {"retention.ms": "1000"}})
    # A broker shows a change a moment after the controller has accepted it.
    await until(lambda: check_topics(settings), "the topic's new property")
    return settings


async def an_older_schema(settings: Settings) -> Settings:
    connected = await asyncpg.connect(settings.database_url.get_secret_value())
    await connected.execute("UPDATE alembic_version SET version_num = '0003'")
    await connected.close()
    return settings


async def a_replica_that_is_a_primary(settings: Settings) -> Settings:
    return settings.model_copy(update={"database_replica_url": settings.database_url})


async def a_database_that_is_away(settings: Settings) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr("postgresql://u:p@127.0.0.1:9/d")})


# How each fault is planted, the subjects of the findings that it must make, and what the first one says.
FAULTS: dict[str, tuple[Plant, list[str], str]] = {
    "brokers that are away": (with_changes(kafka="127.0.0.1:9"), ["kafka"], "does not answer"),
    "another prefix, without topics": (with_changes(topic_prefix="nobody-"), ["topics"] * 7, "does not exist"),
    "another retention": (another_retention, ["topics"], "retention.ms is 1000"),
    "more copies than brokers": (with_changes(topic_replication=2), ["kafka"] + ["topics"] * 11, "there are 1 broker"),
    "a database that is away": (a_database_that_is_away, ["database", "reddit"], "ConnectionRefusedError"),
    "an older schema": (an_older_schema, ["schema"], "lacks revision 0004"),
    "a replica that is none": (a_replica_that_is_a_primary, ["replica"], "no standby"),
    "Redis that is away": (with_changes(redis_url=SecretStr("redis://127.0.0.1:9")), ["redis"], "ConnectionError"),
    "a short secret": (with_changes(api_secret=SecretStr("guess")), ["secrets"], "5 characters"),
}


@pytest.fixture
async def installation(settings: Settings, topics: TopicNames) -> Settings:
    """Topics and schema are there; no API and no worker runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return settings.model_copy(update={"api_port": port, "topic_replication": 1})


def not_well(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict != "ok"]


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_a_planted_fault_is_found_named_and_has_a_remedy(installation: Settings, fault: str) -> None:
    plant, subjects, says = FAULTS[fault]
    before = not_well(await examine(installation))
    # The servers of these tests run without fsync, which is quicker and unsafe; there is one broker, and no worker.
    wrong = [finding.says.split()[0] for finding in before if finding.verdict == "wrong"]
    assert (wrong, len(before)) == (["fsync", "full_page_writes"], 5)
    found = [finding for finding in not_well(await examine(await plant(installation))) if finding not in before]
    assert [finding.subject for finding in found] == subjects
    assert says in found[0].says
    assert all(finding.fix for finding in found)


async def test_a_variable_that_is_no_setting_and_a_taken_port_are_found(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALFLOW_DATABSE_URL", "postgresql://elsewhere/d")
    with socket.create_server(("127.0.0.1", installation.api_port)):
        found = {finding.subject: finding for finding in not_well(await examine(installation))}
    assert found["settings"].fix == "rename it to SIGNALFLOW_DATABASE_URL"
    assert "Address already in use" in found["ports"].says


async def test_workers_are_told_and_whether_one_polls(installation: Settings, worker: WorkerProcess) -> None:
    async def told() -> list[tuple[str, str]]:
        about = [finding for finding in await examine(installation) if finding.subject == "workers"]
        return [(finding.verdict, finding.says) for finding in about if finding.says != "no worker runs"]

    well, polls = await until(told, "the worker's first report")
    assert well == ("ok", "1 worker(s) run: w1")
    assert polls == ("warning", "no worker polls Reddit")


async def about_reddit(settings: Settings) -> list[Finding]:
    return [finding for finding in await examine(settings) if finding.subject == "reddit"]


async def test_the_credentials_of_reddit_are_tried(installation: Settings, simulator: RunningSimulator) -> None:
    right = installation.model_copy(update={"reddit_base_url": simulator.url})
    assert [(one.verdict, one.says) for one in await about_reddit(right)] == [("ok", "it takes the credentials")]
    asked = {entry.path for entry in simulator.simulator.entries}
    assert asked == {"/api/v1/access_token"}, "the budget is the poller's"

    changes = {"reddit_client_id": "simulator", "reddit_client_secret": SecretStr("another")}
    (wrong,) = await about_reddit(right.model_copy(update=changes))
    assert (wrong.verdict, "refused the credentials" in wrong.says) == ("wrong", True)
    assert "SIGNALFLOW_REDDIT_CLIENT_SECRET" in wrong.fix
    assert "another" not in f"{wrong}"

    nobody = right.model_copy(update={"reddit_base_url": "http://127.0.0.1:9"})
    (unknown,) = await about_reddit(nobody)
    assert (unknown.verdict, "check the network" in unknown.fix) == ("unknown", True)


@pytest.fixture
async def polling(
    installation: Settings, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> AsyncIterator[Callable[..., WorkerProcess]]:
    """Starts a worker that polls the simulator."""
    await load_defaults(pool, [WatchedSubreddit("python", 60, "fast")])
    started: list[WorkerProcess] = []

    def start(**environment: str) -> WorkerProcess:
        given = {"SIGNALFLOW_POLL_ENABLED": "true", "SIGNALFLOW_REDDIT_BASE_URL": simulator.url}
        worker = WorkerProcess(installation, "w1", tmp_path, **given | environment)
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.ensure_stopped()


async def test_the_requests_that_reddit_allows_the_poller_are_told(
    installation: Settings, simulator: RunningSimulator, polling: Callable[..., WorkerProcess]
) -> None:
    worker = polling()
    asked = installation.model_copy(update={"reddit_base_url": simulator.url})

    async def told() -> list[str]:
        found = await about_reddit(asked)
        return [one.says for one in found if one.verdict == "ok" and "it allows" in one.says]

    (says,) = await until(told, worker.tail, 60)
    assert re.fullmatch(r"it allows \d+ requests in the next \d+ s", says)
    assert not_well(await about_reddit(asked)) == []


async def test_feeds_that_reddit_blocks_are_told_once_with_what_to_do(
    installation: Settings, simulator: RunningSimulator, polling: Callable[..., WorkerProcess]
) -> None:
    simulator.simulator.faults.add({"contains": ".rss", "count": -1, "block": "page"})
    given = {"SIGNALFLOW_REDDIT_SOURCE": "feeds", "SIGNALFLOW_REDDIT_CONTACT": "you@example.org"}
    worker = polling(**given)
    changes = {"reddit_source": "feeds", "reddit_contact": "you@example.org", "reddit_base_url": simulator.url}
    asked = installation.model_copy(update=changes)
    (blocked,) = await until(lambda: _wrong(asked), worker.tail, 60)
    assert re.fullmatch(r"Reddit has blocked the address that polls for \d+ s \(page\)", blocked.says)
    assert "SIGNALFLOW_REDDIT_FEED" in blocked.fix


async def _wrong(settings: Settings) -> list[Finding]:
    return [finding for finding in await about_reddit(settings) if finding.verdict == "wrong"]
