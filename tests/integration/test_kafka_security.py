"""Kafka with TLS and SASL: every client gets through with the right settings, and says what is wrong with others."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import psutil
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr
from structlog.testing import capture_logs

from signalflow.dead_letters.replay import ReplayRequest, replay
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.admin import create_topics, topic_partitions
from signalflow.kafka.cluster_health import cluster_health
from signalflow.kafka.offsets import committed_offsets, end_offsets
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.reader import read_range
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka, Security
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from signalflow.verify.run import verify
from tests.integration.workers import WorkerProcess, count, eventually, observation, produce
from tests.waiting import until
from web.live.hub import Hub
from web.live.kafka_log import open_log

pytestmark = pytest.mark.integration

USER = "alice"
# Every password begins with it. The tests search logs, output and process arguments for it. It must not be there.
MARKER = "marker-3f9c-password"
NOW = datetime.now(UTC).replace(microsecond=0)


class Door(NamedTuple):
    """The secured listeners of one Kafka, and the files that open them."""

    server: EmbeddedKafka
    ports: dict[str, int]
    ca: Path
    certificate: Path
    key: Path
    stranger: Path
    """A CA that the broker does not know, and that did not sign its certificate."""
    strange_certificate: Path
    strange_key: Path

    def settings(self, base: Settings, security: str, **changes: Any) -> Settings:
        """Settings that get through this listener, with these changes."""
        given: dict[str, Any] = {"kafka": f"127.0.0.1:{self.ports[security]}", "kafka_security": security}
        if security.startswith("sasl"):
            mechanism = changes.get("kafka_sasl_mechanism", base.kafka_sasl_mechanism)
            given |= {"kafka_user": USER, "kafka_password": SecretStr(password(mechanism))}
        if security.endswith("ssl"):
            given |= {"kafka_ca_file": self.ca}
        if security == "ssl":
            given |= {"kafka_cert_file": self.certificate, "kafka_key_file": self.key}
        return Settings(**(base.model_dump() | given | changes))


def password(mechanism: str) -> str:
    """The user's password with this mechanism. Each has its own, so a client that uses another one is refused."""
    return f"{MARKER}-{mechanism}"


def pkcs8(certificate: trustme.LeafCert) -> bytes:
    """The private key of a certificate in the only format that Kafka reads."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    files = tmp_path_factory.mktemp("certificates")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(files / "ca.pem")
    stranger.cert_pem.write_to_path(files / "stranger.pem")
    # Only for the address: "localhost" is another host name.
    broker_certificate = authority.issue_cert("127.0.0.1")
    (files / "broker.pem").write_bytes(pkcs8(broker_certificate) + broker_certificate.cert_chain_pems[0].bytes())
    for ca, name in ((authority, "client"), (stranger, "strange_client")):
        client = ca.issue_cert("signalflow@example.org")
        client.cert_chain_pems[0].write_to_path(files / f"{name}.pem")
        client.private_key_pem.write_to_path(files / f"{name}.key")
    broker, controller, *secured = free_ports(5)
    ports = dict(zip(("sasl_ssl", "ssl", "sasl_plaintext"), secured, strict=True))
    modules = "org.apache.kafka.common.security"
    sasl = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "plain.sasl.jaas.config": f'{modules}.plain.PlainLoginModule required user_{USER}="{password("PLAIN")}";',
        "scram-sha-256.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        "scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
    }
    only_scram = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
    }
    options = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        **{f"listener.name.sasl_ssl.{name}": value for name, value in sasl.items()},
        **{f"listener.name.sasl_plaintext.{name}": value for name, value in only_scram.items()},
    }
    scram = [f"{name}=[name={USER},password={password(name)}]" for name in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    security = Security({protocol.upper(): port for protocol, port in ports.items()}, options, scram)
    server = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), [broker], [controller], security=security)
    server.start()
    names = ("ca.pem", "client.pem", "client.key", "stranger.pem", "strange_client.pem", "strange_client.key")
    yield Door(server, ports, *(files / name for name in names))
    server.stop()


def test_formatting_the_storage_shows_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []
    run = subprocess.run

    def noted(command: Sequence[str], **options: Any) -> Any:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", noted)
    broker, controller, plaintext = free_ports(3)
    jaas = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{MARKER}";'
    options = {"listener.name.sasl_plaintext.plain.sasl.jaas.config": jaas}
    scram = [f"SCRAM-SHA-512=[name={USER},password={MARKER}]"]
    security = Security({"SASL_PLAINTEXT": plaintext}, options, scram)
    EmbeddedKafka(tmp_path, [broker], [controller], security=security).prepare()
    assert commands
    assert MARKER not in str(commands)
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()]
    assert [(path.name, path.stat().st_mode & 0o777) for path in holding] == [("broker-1.properties", 0o600)]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """An installation of its own; where its Kafka is comes from the door."""
    unique = tmp_path.name.replace("_", "-")[-20:]
    return Settings(
        database_url=SecretStr(database_url),
        state_dir=tmp_path / "state",
        app_id=f"secured-{unique}",
        topic_prefix=f"secured-{unique}-",
        topic_partitions=2,
    )


async def round_trip(settings: Settings) -> list[bytes]:
    """Topics made, records sent and read again."""
    await create_topics(settings)
    topic = TopicNames.of(settings).posts_enriched
    producer = ConfirmedProducer(settings, "test")
    try:
        spans = await producer.send(topic, {0: [Outgoing(b"a", b"1"), Outgoing(b"b", b"2")]})
    finally:
        await producer.close()
    (span,) = spans[0]
    return [record.value for record in await read_range(settings, topic, 0, span.first, span.last)]


async def test_every_client_gets_through_sasl_and_tls(door: Door, settings: Settings) -> None:
    secured = door.settings(settings, "sasl_ssl")
    assert await round_trip(secured) == [b"1", b"2"]
    topics = TopicNames.of(secured)
    assert (await topic_partitions(secured))[topics.posts_raw] == 2
    assert (await cluster_health(secured)).brokers == 1
    assert await end_offsets(secured, [(topics.posts_enriched, 0)]) == {(topics.posts_enriched, 0): 2}
    await eventually(lambda: nothing_is_committed(secured), 30)
    async with open_log(secured, TopicNames.of(secured).posts_enriched) as log:
        log.seek([0, 0])
        assert [record.value for record in await log.read(10)] == [b"1", b"2"]


async def nothing_is_committed(settings: Settings) -> bool:
    """Whether the group has committed no offset. False also while a new broker elects the coordinator of the group."""
    partition = (TopicNames.of(settings).posts_raw, 1)
    try:
        return await committed_offsets(settings, [partition]) == {partition: 0}
    except Retryable:
        return False


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_each_mechanism_proves_the_password_and_logs_it_nowhere(
    door: Door, settings: Settings, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aiokafka")
    assert await round_trip(door.settings(settings, "sasl_ssl", kafka_sasl_mechanism=mechanism)) == [b"1", b"2"]
    assert "aiokafka" in {record.name.partition(".")[0] for record in caplog.records}
    assert MARKER not in caplog.text


async def test_a_client_certificate_opens_mutual_tls(door: Door, settings: Settings) -> None:
    assert await round_trip(door.settings(settings, "ssl")) == [b"1", b"2"]


async def test_a_password_is_taken_without_tls_too(door: Door, settings: Settings) -> None:
    assert await round_trip(door.settings(settings, "sasl_plaintext")) == [b"1", b"2"]


def environment(settings: Settings) -> dict[str, str]:
    """What a process is started with to have these settings."""
    given = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings.model_dump(exclude_defaults=True).items()
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALFLOW_")}
    return inherited | {f"SIGNALFLOW_{name.upper()}": str(value) for name, value in given.items()}


@asynccontextmanager
async def working(settings: Settings, log_dir: Path) -> AsyncIterator[WorkerProcess]:
    """A worker that is ready."""
    worker = WorkerProcess(settings, "worker-1", log_dir, **environment(settings), SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    worker.start()
    try:
        await worker.ready()
        yield worker
    finally:
        worker.ensure_stopped()


@pytest.mark.parametrize(
    ("security", "changes"),
    [
        ("sasl_ssl", {"kafka_sasl_mechanism": "PLAIN"}),
        ("sasl_ssl", {"kafka_sasl_mechanism": "SCRAM-SHA-512"}),
        ("ssl", {}),
    ],
    ids=["PLAIN", "SCRAM-SHA-512", "client certificate"],
)
async def test_a_worker_stores_a_post_and_shows_its_password_nowhere(
    door: Door, settings: Settings, tmp_path: Path, security: str, changes: dict[str, Any]
) -> None:
    secured = door.settings(settings, security, **changes)
    async with working(secured, tmp_path) as worker:
        arguments = psutil.Process(worker.pid).cmdline()
        await produce(secured, [observation("post1", NOW, created_at=NOW - timedelta(minutes=1))])
        await eventually(lambda: has(secured, "posts", 1), 30, worker.tail)
        assert (await verify(secured, TopicNames.of(secured))).clean
    assert MARKER not in worker.log.read_text()
    assert MARKER not in str(arguments)


async def has(settings: Settings, table: str, rows: int) -> bool:
    return await count(settings, table) == rows


async def test_a_dead_letter_comes_and_goes_back_over_tls(
    door: Door, settings: Settings, database_pool: asyncpg.Pool, tmp_path: Path
) -> None:
    secured = door.settings(settings, "sasl_ssl")
    await database_pool.execute("ALTER TABLE posts ADD CONSTRAINT refused CHECK (title <> 'refused')")
    async with working(secured, tmp_path) as worker:
        await produce(secured, [observation("post1", NOW, created_at=NOW, title="refused")])
        await eventually(lambda: has(secured, "dlq_events", 1), 30, worker.tail)
        await database_pool.execute("ALTER TABLE posts DROP CONSTRAINT refused")
        report = await replay(database_pool, secured, ReplayRequest(by="test", policy="stop"))
    assert (report.sent, report.failed_again, report.outcome) == (1, 0, "completed")
    assert await database_pool.fetchval("SELECT state FROM dlq_events") == "resolved"
    assert await has(secured, "posts", 1)


class Wrong(NamedTuple):
    """A setting that does not fit the listener, and what the error must say."""

    listener: str
    security: str
    changes: Callable[[Door], dict[str, Any]]
    says: str


WRONG = {
    "password": Wrong(
        "sasl_ssl",
        "sasl_ssl",
        lambda _: {"kafka_password": SecretStr("wrong")},
        "check SIGNALFLOW_KAFKA_USER and .*PASSWORD",
    ),
    "mechanism": Wrong(
        "sasl_plaintext",
        "sasl_plaintext",
        lambda _: {"kafka_sasl_mechanism": "PLAIN"},
        "check SIGNALFLOW_KAFKA_SASL_MECHANISM",
    ),
    "unknown CA": Wrong(
        "sasl_ssl", "sasl_ssl", lambda door: {"kafka_ca_file": door.stranger}, "check SIGNALFLOW_KAFKA_CA_FILE"
    ),
    "plaintext to TLS": Wrong(
        "sasl_ssl", "plaintext", lambda _: {}, "expects TLS on this port, but SIGNALFLOW_KAFKA_SECURITY=plaintext"
    ),
    "TLS to plaintext": Wrong("sasl_plaintext", "ssl", lambda _: {}, "expects no TLS .*SIGNALFLOW_KAFKA_SECURITY=ssl"),
    "no login": Wrong("sasl_ssl", "ssl", lambda _: {}, "requires a login, but SIGNALFLOW_KAFKA_SECURITY=ssl"),
    "no client certificate": Wrong(
        "ssl",
        "ssl",
        lambda _: {"kafka_cert_file": None, "kafka_key_file": None},
        "asks for a client certificate: check SIGNALFLOW_KAFKA_CERT_FILE",
    ),
    "unknown client certificate": Wrong(
        "ssl",
        "ssl",
        lambda door: {"kafka_cert_file": door.strange_certificate, "kafka_key_file": door.strange_key},
        "refuses our certificate: check SIGNALFLOW_KAFKA_CERT_FILE",
    ),
}


def wrong_settings(door: Door, settings: Settings, wrong: Wrong) -> Settings:
    """Settings of one kind of listener, with the address of another."""
    changes = {"kafka": f"127.0.0.1:{door.ports[wrong.listener]}"} | wrong.changes(door)
    if wrong.security == "plaintext":
        return Settings(**(settings.model_dump() | changes))
    return door.settings(settings, wrong.security, **changes)


@pytest.mark.parametrize("name", WRONG)
async def test_refused_settings_are_fatal_and_name_the_setting(door: Door, settings: Settings, name: str) -> None:
    with pytest.raises(Fatal, match=WRONG[name].says):
        await create_topics(wrong_settings(door, settings, WRONG[name]))


async def test_a_certificate_for_another_host_name_is_named(door: Door, settings: Settings) -> None:
    with pytest.raises(Fatal, match="another host name: check SIGNALFLOW_KAFKA "):
        await create_topics(door.settings(settings, "ssl", kafka=f"localhost:{door.ports['ssl']}"))


def test_commands_say_it_in_one_sentence(door: Door, settings: Settings) -> None:
    wrong = environment(wrong_settings(door, settings, WRONG["password"]))
    for command, begin in (("topics create", "error: Kafka at "), ("verify", "error: Kafka at ")):
        done = subprocess.run(
            [Path(sys.executable).with_name("signalflow"), *command.split()], env=wrong, capture_output=True, text=True
        )
        assert done.returncode != 0
        assert done.stdout == ""
        (sentence,) = done.stderr.strip().splitlines()
        assert sentence.startswith(begin)
        assert "SIGNALFLOW_KAFKA_PASSWORD" in sentence


@pytest.mark.parametrize("name", ["password", "unknown CA", "unknown client certificate", "plaintext to TLS"])
async def test_a_worker_that_is_refused_ends_and_says_why(
    door: Door, settings: Settings, tmp_path: Path, name: str
) -> None:
    wrong = wrong_settings(door, settings, WRONG[name])
    reason = await WorkerProcess(wrong, "worker-1", tmp_path, **environment(wrong)).refuses_to_start()
    assert re.search(WRONG[name].says, reason)


async def test_the_live_stream_logs_why_it_stands_still(door: Door, settings: Settings) -> None:
    hub = Hub(wrong_settings(door, settings, WRONG["password"]))
    with capture_logs() as logged:
        async with hub.running():
            stale = await until(lambda: [event for event in logged if event["event"] == "live_stale"], "the reason")
    assert "check SIGNALFLOW_KAFKA_USER and SIGNALFLOW_KAFKA_PASSWORD" in stale[0]["error"]
    assert MARKER not in str(logged)
