"""A real Prometheus scrapes a pipeline that runs, with the files of docker/: every panel and every rule has data."""

import asyncio
import contextlib
import math
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr

from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.topics import TopicNames
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from tests.api_clients import bearer
from tests.integration.test_path_dead_letters import send
from tests.integration.workers import WorkerProcess
from tests.live_client import Api, live_api
from tests.prometheus import program, series_of
from tests.unit.docker.monitoring import OF_EXPORTERS, RULES, alerts, panels
from tests.waiting import until

CONFIG = RULES.with_name("prometheus.yml")
# Long enough for two scrapes a second apart; Grafana takes four scrapes of 15 s.
RATE_INTERVAL = "20s"
STOP_SECONDS = 20.0
TOKEN = SecretStr("the-token-of-this-installation-of-tests")
# What has no series while all is well, and why. tests/unit/docker/test_alerts.py has these faults.
APPEARS_WITH_ITS_FAULT = {
    "signalflow_reddit_unanswered_since_seconds": "it exists only while Reddit answers no request",
    'signalflow_http_requests_total{status=~"5.."}': "a status exists from the first answer that has it",
}


def needs_an_exporter(query: str) -> bool:
    """Whether a query is of series of the exporters, which do not run here.

    kafka-exporter is no package of Debian, and Debian's postgres-exporter is an earlier one with other names.
    """
    return bool({series.partition("{")[0] for series in series_of(query)} & OF_EXPORTERS)


class Prometheus:
    """A Prometheus with the rules and the jobs of docker/, on loopback."""

    def __init__(self, directory: Path, worker: WorkerProcess, api: Api) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._directory = directory
        self._port = port
        directory.mkdir()
        config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(CONFIG.parent / name) for name in config["rule_files"]]
        addresses = {"worker": worker.url, "api": api.url, "prometheus": self.url}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in addresses]
        token = directory / "token"
        token.write_text(api.settings.worker_token.get_secret_value())
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": [addresses[job["job_name"]].removeprefix("http://")]}]
            if "authorization" in job:
                job["authorization"]["credentials_file"] = str(token)
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of its HTTP API while it runs."""
        command = [
            program("prometheus"),
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._directory / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=subprocess.STDOUT)
        try:
            async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20) as client:

                async def answers() -> bool:
                    assert process.returncode is None, self.log()
                    with contextlib.suppress(httpx.TransportError):
                        return (await client.get("/-/ready")).status_code == 200
                    return False

                await until(answers, self.log, pause=0.1)
                yield client
        finally:
            process.terminate()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()

    def log(self) -> str:
        return (self._directory / "log").read_text()[-3000:]


async def has_data(client: httpx.AsyncClient, query: str) -> bool:
    """Whether a query has a number in its answer."""
    answer = (await client.get("/api/v1/query", params={"query": query})).json()
    assert answer["status"] == "success", (query, answer)
    return any(not math.isnan(float(sample["value"][1])) for sample in answer["data"]["result"])


async def rules(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.timeout(180)
async def test_every_panel_and_every_rule_has_data_and_only_the_fault_is_alerted(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    program("prometheus")
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast", comments=True) for name in ("python", "funny")])
    # The only fault: a record that becomes a dead letter. Its topic is in a panel from then on.
    await send(settings, topics.posts_raw, (b"key", b"not json"))
    worker = WorkerProcess(
        settings, "w1", tmp_path, SIGNALFLOW_POLL_ENABLED="true", SIGNALFLOW_REDDIT_BASE_URL=simulator.url,
        SIGNALFLOW_REQUESTS_PER_MINUTE="95", SIGNALFLOW_LISTING_REQUESTS_PER_MINUTE="40",
        SIGNALFLOW_SINK_MAX_SECONDS="0.2", SIGNALFLOW_TOPIC_CHECK_SECONDS="1",
    )  # fmt: skip
    worker.start()
    shown = {query.replace("$__rate_interval", RATE_INTERVAL) for panel in panels() for query in panel.queries}
    named = {f"count({series})" for alert in alerts() for series in series_of(alert.expression)}
    named -= {f"count({series})" for series in APPEARS_WITH_ITS_FAULT}
    without = {query for query in shown | named if not needs_an_exporter(query)}
    assert len(without) > len(shown | named) / 2
    try:
        async with (
            live_api(settings.model_copy(update={"worker_token": TOKEN}), bearer(settings)) as api,
            httpx.AsyncClient(base_url=api.url, headers=api.headers, trust_env=False, timeout=20) as reader,
            Prometheus(tmp_path / "prometheus", worker, api).running() as prometheus,
        ):
            await worker.ready()

            async def all_have_data() -> bool:
                assert (await reader.get("/api/posts/")).status_code == 200
                for query in sorted(without):
                    if await has_data(prometheus, query):
                        without.remove(query)
                return not without

            await until(all_have_data, lambda: f"without data: {sorted(without)}\n{worker.tail()}", 60, pause=0.3)
            evaluated = await rules(prometheus)
            assert {rule["name"] for rule in evaluated} == {alert.name for alert in alerts()}
            assert {rule["name"]: rule.get("lastError") for rule in evaluated if rule["health"] != "ok"} == {}

            async def firing() -> set[str]:
                return {rule["name"] for rule in await rules(prometheus) if rule["state"] == "firing"}

            # The first letter may have been counted before the first scrape; a second one lets the counter rise.
            await send(settings, topics.posts_raw, (b"key", b"not json"))
            await until(firing, lambda: f"no alert\n{worker.tail()}", 30, pause=0.3)
            assert await firing() == {"DeadLetters"}
    finally:
        worker.ensure_stopped()
