"""The embedded servers: private to their owner, and with the same data after a restart."""

import os
import signal
import stat
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from signalflow.errors import Fatal
from signalflow.local import ports
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration


async def _rows(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS numbers (n int)")
        await connection.execute("INSERT INTO numbers SELECT count(*) FROM numbers")
        return [row["n"] for row in await connection.fetch("SELECT n FROM numbers ORDER BY n")]
    finally:
        await connection.close()


async def test_postgres_keeps_rows_and_password_over_a_restart_in_a_private_directory(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / "pg", free_ports(1)[0])
    server.start()
    first_url = server.url()
    try:
        assert await _rows(first_url) == [0]
    finally:
        server.stop()
    server.start()
    try:
        assert server.url() == first_url
        assert await _rows(first_url) == [0, 1]
    finally:
        server.stop()


async def test_postgres_refuses_a_connection_without_the_password(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.url().replace(":", ":wrong-", 2).replace(":wrong-//", "://", 1))


def test_the_password_is_readable_by_its_owner_only(postgres_server: EmbeddedPostgres) -> None:
    mode = (postgres_server.data_dir / "password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops its privileges")
async def test_root_starts_postgres_without_privileges_from_a_copy_when_the_wheel_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from signalflow.local import postgres

    # Like an installation under a private home: other accounts cannot read tmp_path.
    installed = postgres._installed_programs()
    hidden = tmp_path / "site-packages"
    for name in (installed.parent.name, f"{installed.parent.name}.libs"):
        shutil.copytree(installed.parent.parent / name, hidden / name)
    monkeypatch.setattr(postgres, "_installed_programs", lambda: hidden / installed.parent.name / installed.name)
    server = EmbeddedPostgres(tmp_path / "pg", free_ports(1)[0])
    server.start()
    try:
        copy = Path((server.data_dir / "programs").read_text())
        assert await _rows(server.url()) == [0]
    finally:
        server.stop()
    assert not copy.exists()


async def _round_trip(bootstrap: str, topic: str, replication: int) -> bytes:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, replication)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topic, b"kept")
    await producer.stop()
    return await _first(bootstrap, topic)


async def _first(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        record = await consumer.getone()
        return bytes(record.value)
    finally:
        await consumer.stop()


@pytest.mark.parametrize("directory", ["#1 of two", "Zustände", "one,two"])
async def test_a_broker_keeps_its_records_over_a_restart_whatever_its_directory_is_called(
    tmp_path: Path, directory: str
) -> None:
    broker, controller = free_ports(2)
    cluster = EmbeddedKafka(tmp_path / directory / "kafka", [broker], [controller])
    cluster.start()
    try:
        assert await _round_trip(cluster.bootstrap, "numbers", replication=1) == b"kept"
    finally:
        cluster.stop()
    cluster.start()
    try:
        assert await _first(cluster.bootstrap, "numbers") == b"kept"
    finally:
        cluster.stop()


async def test_three_brokers_keep_three_copies_of_a_record(tmp_path: Path) -> None:
    chosen = free_ports(6)
    cluster = EmbeddedKafka(tmp_path / "kafka", chosen[:3], chosen[3:])
    cluster.start()
    try:
        assert await _round_trip(cluster.bootstrap, "numbers", replication=3) == b"kept"
    finally:
        for node in cluster.nodes:
            cluster.kill_broker(node)


async def test_data_of_a_cluster_of_another_size_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cluster").write_text("q1Sh-9_ISia_zwGINzRvyQ 3\n")
    with pytest.raises(Fatal, match="--brokers 3"):
        EmbeddedKafka(tmp_path, [1], [2]).prepare()


async def test_a_server_ends_a_server_that_was_left_on_its_cluster(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path / "pg", free_ports(1)[0])
    first.start()
    assert await _rows(first.url()) == [0]
    second = EmbeddedPostgres(tmp_path / "pg", free_ports(1)[0])
    second.start()
    try:
        assert not ports.answers(first.port)
        assert await _rows(second.url()) == [0, 1]
    finally:
        second.stop()


async def test_a_server_starts_after_its_postmaster_was_killed(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", free_ports(1)[0])
    server.start()
    connection = await asyncpg.connect(server.url())
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.start()
    try:
        assert await _rows(server.url()) == [0]
    finally:
        connection.terminate()
        server.stop()
