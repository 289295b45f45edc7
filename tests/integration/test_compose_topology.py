"""What docker/compose.yaml starts, from the embedded servers: three brokers, a primary with a standby, Valkey, three
workers, two APIs behind one address, the simulator; with the commands and variables of the file.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import TypeAdapter
from redis.asyncio import Redis

from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from tests.api_clients import bearer
from tests.integration.compose_parts import (
    FAST,
    OneAddress,
    Program,
    Standby,
    server_options,
    start_brokers,
    start_primary,
    start_valkey,
    with_addresses,
)
from tests.unit.docker.compose import made_env, rendered, settings_of
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Less than the file's twelve, so that two cores start three brokers and four workers in time.
PARTITIONS = 6
ENV = made_env() | {"TOPIC_PARTITIONS": str(PARTITIONS)}
SERVICES: dict[str, dict[str, Any]] = rendered(ENV)["services"]
START_SECONDS = 90.0


@dataclass
class Topology:
    """The services that run, and how to start more of them."""

    directory: Path
    addresses: dict[str, str]
    proxy: str
    programs: dict[str, Program] = field(default_factory=dict)
    worker_urls: dict[str, str] = field(default_factory=dict)
    api_urls: dict[str, str] = field(default_factory=dict)

    def environment(self, service: str) -> dict[str, str]:
        """The settings that the file gives a service, with addresses on this machine."""
        given = settings_of(SERVICES[service])
        return {name: with_addresses(value, self.addresses) for name, value in given.items()}

    def start(self, service: str, name: str, **changes: str) -> Program:
        """Start a container of a service."""
        return self.start_command(service, name, SERVICES[service]["command"], **changes)

    def start_command(self, service: str, name: str, command: Sequence[str], **changes: str) -> Program:
        """Start a container of a service with another command."""
        program = Program(self.directory, name, command, self.environment(service) | changes)
        self.programs[name] = program
        return program

    def start_simulator(self, port: int) -> None:
        """Start the simulator. In a container port and directory are its own."""
        command = list(SERVICES["simulator"]["command"])
        command[command.index("--port") + 1] = str(port)
        command[command.index("--data-dir") + 1] = str(self.directory / "posts")
        self.start_command("simulator", "simulator", command)

    async def run(self, service: str) -> None:
        """Start a container that ends by itself, and wait for it."""
        program = self.start(service, service)
        status = await asyncio.to_thread(program.process.wait, START_SECONDS)
        assert status == 0, program.tail()

    def start_worker(self, number: int) -> None:
        """Start one more worker."""
        (port,) = free_ports(1)
        name = f"worker-{number}"
        # In a container the name and the address are those of the container.
        own = {"WORKER_NAME": name, "WORKER_WEB_HOST": LOOPBACK, "WORKER_WEB_PORT": str(port)}
        self.start("worker", name, **{f"SIGNALFLOW_{key}": value for key, value in own.items()})
        self.worker_urls[name] = f"http://{LOOPBACK}:{port}"

    def start_api(self, number: int, port: int) -> None:
        """Start an API."""
        own = {"API_HOST": LOOPBACK, "API_PORT": str(port), "API_TRUSTED_PROXIES": LOOPBACK}
        self.start("api", f"api-{number}", **{f"SIGNALFLOW_{key}": value for key, value in own.items()})
        self.api_urls[f"api-{number}"] = f"http://{LOOPBACK}:{port}"

    async def ready(self, name: str, url: str) -> dict[str, Any]:
        """What /ready of a program says, once it answers 200."""

        async def asked() -> dict[str, Any] | None:
            assert self.programs[name].process.poll() is None, self.programs[name].tail()
            async with httpx.AsyncClient(trust_env=False) as client:
                with suppress(httpx.HTTPError):
                    answer = await client.get(f"{url}/ready", timeout=5)
                    return TypeAdapter(dict[str, Any]).validate_python(answer.json()) if answer.is_success else None
            return None

        found = await until(asked, lambda: f"{name}: {self.programs[name].tail()}", START_SECONDS, pause=0.2)
        return dict(found)

    async def on(self, server: str, role: str, password: str, statement: str) -> Any:
        """The first value of a statement on a database server."""
        url = f"postgresql://{role}:{ENV[password]}@{self.addresses[f'{server}:5432']}/signalflow"
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@pytest.fixture
async def topology(tmp_path: Path) -> AsyncIterator[Topology]:
    """All services of the file, ready."""
    *kafka, primary, standby, valkey, simulator, api_1, api_2, proxy = free_ports(13)
    names = ["kafka-1:9092", "kafka-2:9092", "kafka-3:9092", "primary:5432", "standby:5432", "valkey:6379",
             "simulator:8090"]  # fmt: skip
    own_ports = [*kafka[:3], primary, standby, valkey, simulator]
    addresses = {name: f"{LOOPBACK}:{port}" for name, port in zip(names, own_ports, strict=True)}
    found = Topology(tmp_path, addresses, f"http://{LOOPBACK}:{proxy}")
    async with AsyncExitStack() as stack:
        database = EmbeddedPostgres(
            tmp_path / "primary", primary, FAST | server_options(SERVICES["primary"]["command"])
        )
        stack.callback(database.stop)
        await start_primary(database, SERVICES["primary"])
        follower = Standby(database, standby, SERVICES["standby"])
        stack.callback(follower.stop)
        brokers = start_brokers(tmp_path / "kafka", kafka, SERVICES)
        stack.callback(brokers.stop)
        shared = await start_valkey(tmp_path / "valkey", valkey, SERVICES["valkey"])
        stack.callback(shared.wait)
        stack.callback(shared.kill)

        def end_programs() -> None:
            for program in found.programs.values():
                if program.process.poll() is None:
                    program.process.kill()
                    program.process.wait()

        stack.callback(end_programs)
        await asyncio.gather(found.run("migrate"), found.run("topics"))
        found.start_simulator(simulator)
        for number in (1, 2, 3):
            found.start_worker(number)
        found.start_api(1, api_1)
        found.start_api(2, api_2)
        one_address = OneAddress([api_1, api_2])
        await one_address.start(proxy)
        stack.push_async_callback(one_address.close)
        for name, url in (found.worker_urls | found.api_urls).items():
            await found.ready(name, url)
        yield found


async def test_posts_arrive_reads_go_to_the_standby_and_a_process_may_die_or_join(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in topology.environment("api").items():
        monkeypatch.setenv(name, value)
    headers = bearer(Settings()) | {"Connection": "close"}
    async with httpx.AsyncClient(base_url=topology.proxy, headers=headers, trust_env=False, timeout=20) as client:

        async def posts() -> list[str]:
            answer = await client.get("/api/posts/", params={"page_size": 50})
            assert answer.status_code == 200, answer.text
            return [post["id"] for post in answer.json()["items"]]

        ids = await until(posts, "posts of the simulator", 60, pause=0.5)

        # The standby streams by its slot and its own role, and both APIs read there as the reader.
        streams = "SELECT count(*) FROM pg_stat_replication WHERE usename = 'replicator' AND state = 'streaming'"
        superuser = ("postgres", "DATABASE_SUPERUSER_PASSWORD")
        await _comes(lambda: topology.on("primary", *superuser, streams), {1}, "streaming standbys")
        assert await topology.on("primary", *superuser, "SELECT active FROM pg_replication_slots") is True
        for name, url in topology.api_urls.items():

            async def on_standby(name: str = name, url: str = url) -> bool:
                return bool((await topology.ready(name, url))["replica_in_use"])

            await until(on_standby, f"{name} reads from the standby", 30, pause=0.2)
        readers = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND client_addr IS NOT NULL"
        await _comes(lambda: topology.on("standby", *superuser, readers), set(range(2, 100)), "readers on the standby")
        assert await topology.on("standby", "reader", "DATABASE_READER_PASSWORD", "SELECT pg_is_in_recovery()") is True

        # Limits and answers are shared. Valkey refuses whoever lacks the password.
        async with Redis.from_url(topology.environment("api")["SIGNALFLOW_REDIS_URL"]) as shared:
            await until(shared.dbsize, "something in Valkey", 20, pause=0.1)

        # The web views of workers need the token; the API has it and reads states that different workers own.
        async with httpx.AsyncClient(trust_env=False) as stranger:
            for url in topology.worker_urls.values():
                assert (await stranger.get(f"{url}/metrics")).status_code == 401
                assert (await stranger.get(f"{url}/live")).status_code == 200

        async def states() -> list[int]:
            return [(await client.get(f"/api/tables/post_state/{post}")).status_code for post in ids[:12]]

        # A worker that gives up a partition knows its states no longer, and the next one must read them first.
        await _comes(lambda: _joined(states()), {"200 " * len(ids[:12])}, "states of the newest posts")

        # One API dies, and no reader notices.
        async def read_on(times: int) -> None:
            for _ in range(times):
                await posts()

        reading = asyncio.create_task(read_on(30))
        await read_on(3)
        topology.programs["api-1"].process.kill()
        await reading
        assert topology.programs["api-1"].process.poll() is not None

        # One worker more takes its share.
        async def shares() -> list[int]:
            found = [await topology.ready(name, url) for name, url in topology.worker_urls.items()]
            return [one["assigned_partitions"] for one in found]

        before = await shares()
        assert len(before) == 3
        assert min(before) >= 1
        topology.start_worker(4)

        async def four_share() -> bool:
            now = await shares()
            return sum(now) == sum(before) and min(now) >= 1

        await until(four_share, "four workers share the partitions", 60, pause=0.5)

        # New posts go on arriving.
        newest = (await posts())[0]
        await until(lambda: _is_another(client, newest), "a new post after all that", 60, pause=0.5)
    # Docker stops a worker with SIGTERM; it ends in time and in order.
    statuses = await asyncio.gather(*(asyncio.to_thread(topology.programs[name].stop) for name in topology.worker_urls))
    assert statuses == [0] * 4
    for name, program in topology.programs.items():
        assert not re.search("unknown_setting|unused_setting", program.log.read_text()), name


async def _comes(ask: Callable[[], Awaitable[Any]], wanted: Collection[Any], what: str) -> None:
    """Wait until the answer is one of those that are wanted. What it is instead is told in the end."""
    last: list[Any] = [None]

    async def is_so() -> bool:
        last[0] = await ask()
        return last[0] in wanted

    await until(is_so, lambda: f"{what}: {last[0]}", 30, pause=0.2)


async def _joined(statuses: Awaitable[list[int]]) -> str:
    return "".join(f"{status} " for status in await statuses)


async def _is_another(client: httpx.AsyncClient, newest: str) -> bool:
    answer = await client.get("/api/posts/", params={"page_size": 1})
    return bool(answer.json()["items"][0]["id"] != newest)
