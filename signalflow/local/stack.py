"""The parts of a local stack, their ports and their settings, as the options of `signalflow up` decide them."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from signalflow.database_settings import without_password
from signalflow.errors import Fatal
from signalflow.local import ports
from signalflow.local.jars import default_cache
from signalflow.local.kafka import Brokers, EmbeddedKafka
from signalflow.local.parts import Part, Stage, Step, http_ok
from signalflow.local.ports import LOOPBACK, PortPlan
from signalflow.local.postgres import DIRECTORY as POSTGRES_DIRECTORY
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.local.process import Launch
from signalflow.local.running import installed_program
from signalflow.local.secret import own_secret
from signalflow.local.state import ProcessStatus, StackStatus, WorkerStatus
from signalflow.local.supervisor import ManagedPart
from signalflow.proxies import proxy_of, proxy_with_password
from signalflow.settings import Settings, unknown_variables, unused_variables

DEFAULT_PORT_BASE = 9400
MAX_WORKERS = 64
_HIGHEST_BASE = 65_535 - 10 - MAX_WORKERS


@dataclass(frozen=True)
class StackOptions:
    """The options of `signalflow up`. Raises Fatal for one that is out of range."""

    state_dir: Path
    port_base: int = DEFAULT_PORT_BASE
    workers: int = 1
    brokers: Brokers = 1
    activity: float = 1.0
    growth: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 1024 <= self.port_base <= _HIGHEST_BASE:
            raise Fatal(f"--port-base must be from 1024 to {_HIGHEST_BASE}, not {self.port_base}")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise Fatal(f"--workers must be from 1 to {MAX_WORKERS}, not {self.workers}")


@dataclass
class Stack:
    """The parts of one stack and their addresses."""

    options: StackOptions
    settings: Settings
    """The user's settings. An address of Kafka or PostgreSQL among them replaces the embedded server."""
    plan: PortPlan = field(init=False)
    _kafka: EmbeddedKafka | None = field(init=False, default=None)
    _postgres: EmbeddedPostgres | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.plan = PortPlan(self.options.port_base)
        given, root = self.settings.model_fields_set, self.options.state_dir
        if "kafka" not in given:
            if self.settings.kafka_security != "plaintext":
                raise Fatal(
                    f"SIGNALFLOW_KAFKA_SECURITY={self.settings.kafka_security} is for a Kafka of yours: set "
                    "SIGNALFLOW_KAFKA, or unset it; the one that `signalflow up` starts speaks plaintext on loopback"
                )
            count = self.options.brokers
            self._kafka = EmbeddedKafka(root / "kafka", self.plan.brokers(count), self.plan.controllers(count))
        if "database_url" not in given:
            self._postgres = EmbeddedPostgres(root / POSTGRES_DIRECTORY, self.plan.postgres)
        # Every worker would refuse the proxy, again and again.
        proxy_with_password(self.simulator_url or self.settings.reddit_base_url)

    # --- addresses

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap servers."""
        return self._kafka.bootstrap if self._kafka else self.settings.kafka

    @property
    def database_url(self) -> str:
        """PostgreSQL's URL, with the password."""
        return self._postgres.url() if self._postgres else self.settings.database_url.get_secret_value()

    @property
    def api_url(self) -> str:
        """Where the API and the dashboard are."""
        return f"http://{LOOPBACK}:{self.plan.api}"

    @property
    def simulator_url(self) -> str | None:
        """Where the simulator is; None when the stack polls Reddit itself or another stand-in."""
        settings = self.settings
        is_simulated = settings.reddit_source == "simulator" or not (
            settings.reddit_source or settings.reddit_client_id
        )
        return None if settings.reddit_base_url or not is_simulated else f"http://{LOOPBACK}:{self.plan.simulator}"

    def worker_url(self, number: int) -> str:
        """The web views of a worker; workers are counted from 1."""
        return f"http://{LOOPBACK}:{self.plan.worker(number)}"

    @property
    def worker_urls(self) -> list[str]:
        """The web views of all workers."""
        return [self.worker_url(number) for number in range(1, self.options.workers + 1)]

    def effective_settings(self) -> Settings:
        """The settings of all parts: the user's settings with this stack's addresses."""
        chosen = self.settings.model_dump(include=self.settings.model_fields_set)
        return Settings(**(chosen | self._overrides()))

    def status(self, parts: dict[str, ManagedPart]) -> StackStatus:
        """What `signalflow status` shows."""
        workers = [(parts[f"worker-{number}"], url) for number, url in enumerate(self.worker_urls, 1)]
        return StackStatus(
            kafka=self.kafka,
            database_url=without_password(self.database_url),
            api_url=self.api_url,
            simulator_url=self.simulator_url,
            workers=[WorkerStatus(pid=worker.pid, web_url=url, state=worker.state) for worker, url in workers],
            processes=[
                ProcessStatus(name=name, pid=part.pid, state=part.state, address=part.part.address)
                for name, part in parts.items()
            ],
            proxy=proxy_of(self._overrides()["reddit_base_url"]),
            unknown_settings=unknown_variables(os.environ),
            unused_settings=unused_variables(os.environ, self.settings),
            state_dir=self.options.state_dir,
        )

    # --- parts

    def stages(self, steps: Sequence[Sequence[Step]]) -> list[Stage]:
        """First the servers, then the steps, then API and workers. The steps of one inner sequence run together."""
        servers = [*self._postgres_part(), *self._kafka_parts(), *self._simulator_part()]
        workers = [self._worker_part(number) for number in range(1, self.options.workers + 1)]
        return [servers, *steps, [self._api_part(), *workers]]

    def check_ports(self) -> None:
        """Raises Fatal, with what to do about it, when a port that this stack needs is taken."""
        wanted: list[tuple[str, int]] = [("the API", self.plan.api)]
        if self.simulator_url:
            wanted.append(("the simulator", self.plan.simulator))
        if self._postgres:
            wanted.append(("PostgreSQL", self.plan.postgres))
        if self._kafka:
            wanted += [("Kafka", port) for port in (*self._kafka.broker_ports, *self._kafka.controller_ports)]
        wanted += [(f"worker {n}", self.plan.worker(n)) for n in range(1, self.options.workers + 1)]
        for who, port in wanted:
            if not ports.is_free(port):
                raise Fatal(
                    f"{who} needs port {port}, which another program uses: end it, or give another --port-base"
                    f" (this one uses {self.plan.base} to {self.plan.worker(self.options.workers)})"
                )

    def _postgres_part(self) -> list[Part]:
        server = self._postgres
        if server is None:
            return []

        async def ready() -> bool:
            return server.ready()

        return [
            Part(
                name="postgres",
                address=f"{LOOPBACK}:{server.port}",
                log=self._log("postgres"),
                prepare=server.prepare,
                launch=server.launch,
                ready=ready,
                clean=server.clean,
                stop_rank=4,
                stop_seconds=2.0,
            )
        ]

    def _kafka_parts(self) -> list[Part]:
        cluster = self._kafka
        if cluster is None:
            return []
        download = "" if default_cache().is_dir() else "downloading Apache Kafka, 43 MB, once"
        return [
            Part(
                name=f"kafka-{node}",
                address=f"{LOOPBACK}:{port}",
                log=self._log(f"kafka-{node}"),
                prepare=partial(cluster.prepare_broker, node),
                preparing=download,
                launch=partial(cluster.launch, node),
                ready=partial(cluster.broker_ready, node),
                stop_rank=3,
                stop_seconds=4.0,
            )
            for node, port in zip(cluster.nodes, cluster.broker_ports, strict=True)
        ]

    def _simulator_part(self) -> list[Part]:
        url, options = self.simulator_url, self.options
        if url is None:
            return []
        data = str(options.state_dir / "simulator")
        arguments = ["simulator", "--host", LOOPBACK, "--port", str(self.plan.simulator), "--data-dir", data]
        arguments += ["--activity", str(options.activity), "--growth", str(options.growth), "--opening"]
        if options.seed is not None:
            arguments += ["--seed", str(options.seed)]
        return [
            self._own_part("simulator", url, [installed_program("signalflow"), *arguments], {}, "/__ctl", stop_rank=2)
        ]

    def _api_part(self) -> Part:
        # Only the API gets the secret, because nothing else signs tokens.
        changes = {"api_secret": self.settings.api_secret.get_secret_value() or own_secret(self.options.state_dir)}
        return self._own_part(
            "api", self.api_url, [installed_program("signalflow"), "api"], changes, "/health", stop_rank=1
        )

    def _worker_part(self, number: int) -> Part:
        name = f"worker-{number}"
        changes = {"worker_name": name, "worker_web_host": LOOPBACK, "worker_web_port": self.plan.worker(number)}
        argv = [installed_program("faust"), "--loop", "uvloop", "-A", "signalflow", "worker", "-l", "warn"]
        return self._own_part(name, self.worker_url(number), argv, changes, "/ready", live="/live", stop_seconds=6.0)

    def _own_part(
        self,
        name: str,
        url: str,
        argv: Sequence[str],
        changes: dict[str, Any],
        health: str,
        *,
        live: str | None = None,
        stop_rank: int = 0,
        stop_seconds: float = 1.5,
    ) -> Part:
        """A part that is a program of this project and answers HTTP requests."""
        return Part(
            name=name,
            address=url,
            log=self._log(name),
            launch=lambda: Launch(argv=argv, env=self._environment(changes), cwd=self.options.state_dir),
            ready=partial(http_ok, url + health),
            live=_asks(url + live) if live else None,
            stop_rank=stop_rank,
            stop_seconds=stop_seconds,
        )

    def _log(self, name: str) -> Path:
        return self.options.state_dir / "logs" / f"{name}.log"

    def decided_settings(self) -> dict[str, str]:
        """The settings that this stack chooses for all its parts, as text."""
        return {name: str(value) for name, value in self._overrides().items()}

    def _overrides(self) -> dict[str, Any]:
        changes: dict[str, Any] = {
            "kafka": self.kafka,
            "database_url": self.database_url,
            "state_dir": self.options.state_dir,
            "reddit_base_url": self.simulator_url or self.settings.reddit_base_url,
            "api_host": LOOPBACK,
            "api_port": self.plan.api,
        }
        # The parts do not see the options of `signalflow up`.
        for name in ("reddit_source", "reddit_contact"):
            if name in self.settings.model_fields_set:
                changes[name] = getattr(self.settings, name)
        if self._kafka and "topic_replication" not in self.settings.model_fields_set:
            changes["topic_replication"] = self._kafka.replication
        return changes

    def _environment(self, changes: dict[str, Any]) -> dict[str, str]:
        # The whole environment is passed on, so that the user's other settings, proxies and paths reach the parts.
        changes = self._overrides() | changes
        return dict(os.environ) | {f"SIGNALFLOW_{name.upper()}": str(value) for name, value in changes.items()}


def _asks(url: str) -> Callable[[], Awaitable[bool]]:
    return partial(http_ok, url)
