"""Servers that go back to an earlier state, while everybody else remembers what came after."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import asyncpg
from asyncpg import Record

from signalflow.errors import Retryable
from signalflow.kafka.clients import admin_client
from signalflow.kafka.offsets import end_offsets
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.local.ports import free_ports
from tests.chaos.faults.base import Fault, Run, remembered
from tests.chaos.proxy import Proxy
from tests.chaos.servers import copy_directory, put_back
from tests.chaos.waiting import happens
from tests.integration.workers import fetch_all

# Records that flow in between are what the copy lacks.
BETWEEN_SECONDS = 8.0
# A standby that is not promoted yet refuses to write; workers meet that for so long.
READ_ONLY_SECONDS = 1.0
CATCH_UP_SECONDS = 20.0
# Brokers count a dead one as in sync for 9 s. One that comes back copies what it lacks beside all other work.
IN_SYNC_SECONDS = 60.0

_WRITTEN = "SELECT pg_current_wal_lsn() - '0/0'"
_RECEIVED = "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0'"
_PROMOTE = "SELECT pg_promote(true)"
_NOTED = "SELECT topic_id, partition, next_offset FROM stored_positions"


async def _restored(run: Run) -> None:
    """The database is restored from a copy that was made while it stood still."""
    server = run.cluster.database
    copy = run.cluster.directory / "copy-of-postgres"
    await server.stop_at_once()
    await asyncio.to_thread(copy_directory, server.server.cluster, copy)
    await server.start()
    await asyncio.sleep(BETWEEN_SECONDS)
    await server.stop_at_once()
    await server.put_back(copy)
    await server.start()


async def _without_power(run: Run) -> None:
    """Power fails: all processes end at once, and the disk has what was on it some seconds ago."""
    server = run.cluster.database
    copy = run.cluster.directory / "disk-of-postgres"
    await server.copy(copy)
    await asyncio.sleep(BETWEEN_SECONDS)
    await server.kill()
    await server.put_back(copy)
    await server.start()


async def _replaced(run: Run) -> None:
    """The server dies, and a streaming standby that lacks the last seconds takes its address and is promoted."""
    server = run.cluster.database
    link_port, own_port = free_ports(2)
    link = Proxy(link_port, server.server.port)
    await link.start()
    try:
        standby = await server.follower(run.cluster.directory / f"standby-{own_port}", own_port, link_port)
        written = await _number(server.server.url(), _WRITTEN)

        async def caught_up() -> bool:
            return await _number(standby.url(), _RECEIVED) >= written

        assert await happens(caught_up, CATCH_UP_SECONDS), "the standby received nothing"
        link.cut()
        await asyncio.sleep(BETWEEN_SECONDS / 2)
        missing = await _number(server.server.url(), _WRITTEN) - await _number(standby.url(), _RECEIVED)
        assert missing > 0, "the standby lacked nothing"
        await server.stop_at_once()
        await server.replace_by(standby)
        await asyncio.sleep(READ_ONLY_SECONDS)
        await _number(server.server.url(), _PROMOTE)
    finally:
        await server.end_follower()
        await link.close()


async def _number(url: str, statement: str) -> int:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


async def _goes_back(kind: str, happening: Callable[[Run], Awaitable[None]], run: Run) -> None:
    async with run.gate.together(), run.cluster.going_back:
        async with run.injecting(kind) as injection:
            await happening(run)
        await run.recovered(injection)


async def _beyond_its_end(run: Run, noted: Sequence[Record]) -> bool:
    """Whether one of these positions is beyond the end of the raw topic. Brokers that just started may not answer."""
    raw = TopicNames.of(run.settings).posts_raw
    found: list[bool] = []

    async def ask() -> bool:
        try:
            topic_id = (await topic_ids(run.settings, [raw]))[raw]
            positions = {(raw, row["partition"]): row["next_offset"] for row in noted if row["topic_id"] == topic_id}
            ends = await end_offsets(run.settings, positions)
        except Retryable:
            return False
        found.append(any(ends[partition] < position for partition, position in positions.items()))
        return True

    assert await happens(ask, IN_SYNC_SECONDS), "the brokers do not tell the ends of their logs"
    return found[0]


async def broker(run: Run) -> None:
    """One broker of three is restored from a copy, and must take what it lacks from the others.

    It comes back when the others no longer count it as in sync, as a broker does that is restored by hand. Sooner, it
    would be elected if the others ended before it caught up, and they would cut their logs to what its copy has.
    """
    async with run.gate.together():
        kafka = run.cluster.kafka
        node = run.rnd.choice(list(kafka.nodes))
        directory, copy = kafka.storage(node), run.cluster.directory / "copy-of-a-broker"
        async with run.injecting("a broker goes back to a copy", detail=str(node)) as injection:
            await run.cluster.kill_broker(node)
            await asyncio.to_thread(copy_directory, directory, copy)
            await run.cluster.restart_brokers(node)
            await asyncio.sleep(BETWEEN_SECONDS)
            await run.cluster.kill_broker(node)
            await _until(run, lambda behind: behind > 0, "the dead broker counts as in sync")
            await asyncio.to_thread(put_back, directory, copy)
            await run.cluster.restart_brokers(node)
            await _until(run, lambda behind: behind == 0, "the broker does not catch up")
        await run.recovered(injection)


async def _until(run: Run, is_so: Callable[[int], bool], otherwise: str) -> None:
    """Wait until so many replicas are not in sync."""

    async def ask() -> bool:
        try:
            async with admin_client(run.settings) as admin:
                topics = await admin.describe_topics()
        except Retryable:
            return False
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return is_so(sum(len(partition["replicas"]) - len(partition["isr"]) for partition in partitions))

    assert await happens(ask, IN_SYNC_SECONDS), otherwise


async def all_brokers_without_power(run: Run) -> None:
    """Power fails for all brokers: they end at once, and their disks have what was on them some seconds ago.

    What only the lost seconds held is lost. The workers must report that if they had read some of it.
    """
    kafka, copy = run.cluster.kafka, run.cluster.directory / "disks-of-the-brokers"
    # A new record may get the offset of a lost one. If both were poison, they would have one dead letter.
    async with run.gate.together(), run.cluster.going_back, run.poisoning:
        async with run.injecting(POWER_CUT) as injection:
            assert await happens(lambda: not run.load.extra, CATCH_UP_SECONDS), "poison waits to be sent"
            async with run.load.sending:
                await run.cluster.copy_brokers(copy)
                held = set(run.load.confirmed)
            await asyncio.sleep(BETWEEN_SECONDS)
            async with run.load.sending:
                stored = await happens(lambda: remembered(run), CATCH_UP_SECONDS)
                assert stored, "the database did not answer"
                noted = await fetch_all(run.settings, _NOTED)
                for node in kafka.nodes:
                    await run.cluster.kill_broker(node)
                for node in kafka.nodes:
                    await asyncio.to_thread(put_back, kafka.storage(node), copy / str(node))
                copy.rmdir()
                await run.cluster.restart_brokers(*kafka.nodes)
                run.logs_were_cut(held, was_read=await _beyond_its_end(run, noted))
        await run.recovered(injection)


def _of_database(kind: str, happening: Callable[[Run], Awaitable[None]], *, in_short_form: bool = True) -> Fault:
    return Fault(kind, "servers", 2, partial(_goes_back, kind, happening), in_short_form)


POWER_CUT = "a power cut of all brokers"
FAULTS = (
    _of_database("the database goes back to a copy", _restored, in_short_form=False),
    _of_database("a standby is promoted", _replaced),
    _of_database("a power cut of the database", _without_power, in_short_form=False),
    Fault("a broker goes back to a copy", "servers", 2, broker, in_short_form=False),
    Fault(POWER_CUT, "servers", 2, all_brokers_without_power, in_short_form=False),
)
