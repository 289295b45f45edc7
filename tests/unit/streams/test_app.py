"""What Faust does by itself with the application's settings."""

import asyncio
import contextlib
import inspect
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from pydantic import SecretStr
from yarl import URL

from signalflow.clock import steady
from signalflow.domain.positions import Commit, Position
from signalflow.errors import Fatal
from signalflow.kafka.producer import partition_for
from signalflow.kafka.topics import TopicNames, topic_specs
from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.settings import Settings
from signalflow.streams import consumer_thread as consuming
from signalflow.streams.app import Application, create_faust_app, raw_bytes_topic
from signalflow.streams.assignor import SharedCountAssignor
from signalflow.streams.recovery import SuspendingTableManager
from signalflow.streams.routing import TableRouter
from signalflow.streams.state_table import StateTable
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state
from tests.unit.streams.fakes import Record


@pytest.fixture
def app(tmp_path: Path) -> Application:
    """An application whose brokers are away."""
    settings = Settings(kafka=f"{LOOPBACK}:{free_ports(1)[0]}", state_dir=tmp_path, worker_name="w1")
    return create_faust_app(Application, settings, claim_workspace(settings))


async def test_faust_declares_no_topics_so_brokers_that_are_away_do_not_end_a_worker(
    app: Application,
) -> None:
    table = create_post_state(app, app.settings)
    await app._leader_assignor.on_start()
    await table.changelog_topic.maybe_declare()
    own = {topic.get_topic_name() for topic in app.topics} | {table.changelog_topic.get_topic_name()}
    assert len(own) == 2
    assert own <= {spec.name for spec in topic_specs(app.settings)}, "create_topics would not create the others"


async def test_the_leaders_topic_has_one_partition(app: Application) -> None:
    await app._leader_assignor.on_start()
    (name,) = [topic.get_topic_name() for topic in app.topics]
    (spec,) = [spec for spec in topic_specs(app.settings) if spec.name == name]
    assert spec.partitions == 1


async def test_routing_a_key_that_no_worker_has_raises_key_error(app: Application) -> None:
    create_post_state(app, app.settings)
    with pytest.raises(KeyError):
        app.router.key_store("post_state", "abc")


async def test_a_key_is_routed_to_the_worker_that_has_its_partition(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_post_state(app, app.settings)
    topic = app.tables["post_state"].changelog_topic.get_topic_name()
    partition = partition_for(b"abc", app.settings.topic_partitions)
    owners = {"http://w1:1": {topic: [partition + 1]}, "http://w2:1": {}, "http://w3:1": {topic: [partition]}}

    def table_metadata(self: object, name: str) -> dict[str, dict[str, list[int]]]:
        assert name == topic
        return owners

    monkeypatch.setattr(type(app.router._assignor), "table_metadata", table_metadata)
    assert app.router.key_store("post_state", "abc") == URL("http://w3:1")
    owners.clear()
    with pytest.raises(KeyError, match="abc"):
        app.router.key_store("post_state", "abc")


async def test_a_fetch_that_finds_nothing_does_not_hold_up_a_rebalance_for_long(app: Application) -> None:
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    consumer = thread._create_worker_consumer(app.transport)
    assert consumer._fetch_max_wait_ms <= 500


async def test_the_consumer_reads_no_record_of_an_aborted_transaction(app: Application) -> None:
    create_post_state(app, app.settings)
    consumer = app.consumer._new_consumer_thread()._create_worker_consumer(app.transport)
    assert consumer._isolation_level == "read_committed"


async def test_a_worker_whose_brokers_go_away_while_it_connects_waits_for_them(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    failures: list[int] = []

    def after(failed: int) -> float:
        failures.append(failed)
        return 0.0

    async def start(thread: Any) -> None:
        tries.append("")
        thread._consumer = thread._create_worker_consumer(app.transport)
        if len(tries) < 3:
            await thread._consumer.start()

    monkeypatch.setattr(consuming, "WHILE_AWAY", SimpleNamespace(after=after))
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", start)
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    await thread.on_start()
    assert (len(tries), failures) == (3, [1, 2])


async def test_faust_gets_the_settings_of_the_worker(tmp_path: Path) -> None:
    settings = Settings(
        kafka="one:9092, two:9093",
        app_id="signalflow-blue",
        topic_prefix="blue-",
        state_dir=tmp_path,
        topic_partitions=6,
        topic_replication=3,
        topic_check_seconds=90,
        worker_web_host="localhost",
        worker_web_port=7001,
        broker_session_timeout=21,
        broker_heartbeat_interval=2,
        broker_rebalance_timeout=22,
        broker_commit_interval=3,
    )
    claim_workspace(settings)
    workspace = claim_workspace(settings)
    app = create_faust_app(Application, settings, workspace)
    conf = app.conf
    assert (app.settings, app.workspace, conf.id) == (settings, workspace, "signalflow-blue")
    assert [(url.scheme, url.host, url.port) for url in conf.broker] == [("kafka", "one", 9092), ("kafka", "two", 9093)]
    assert conf.datadir == tmp_path / "workers" / "worker-2" / "data"
    assert (conf.topic_partitions, conf.topic_replication_factor) == (6, 3)
    # Two thousand records of a fetch are four runs, from each of six partitions, and five times that.
    assert (conf.broker_max_poll_records, conf.stream_buffer_maxsize) == (2_000, 120)
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (21, 2)
    assert (conf.broker_rebalance_timeout, conf.broker_request_timeout, conf.broker_commit_interval) == (22, 42, 3)
    assert conf.consumer_metadata_max_age_ms == 90_000
    # The second worker on this machine has the next port.
    assert (conf.web_host, conf.web_bind, conf.web_port) == ("localhost", "localhost", 7002)
    assert str(conf.canonical_url) == "http://localhost:7002"
    topic = raw_bytes_topic(app, "raw")
    assert (topic.topics, topic.partitions, topic.key_type, topic.value_type) == (("raw",), 6, bytes, bytes)
    assert topic.value_serializer == "raw"


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("CONSUMER_AUTO_OFFSET_RESET", "latest", "consumer_auto_offset_reset"),
        ("STREAM_WAIT_EMPTY", "no", "stream_wait_empty"),
        ("STREAM_PUBLISH_ON_COMMIT", "yes", "stream_publish_on_commit"),
        ("BROKER_MAX_POLL_RECORDS", "7", "broker_max_poll_records"),
        ("TOPIC_ALLOW_DECLARE", "yes", "topic_allow_declare"),
    ],
)
async def test_a_variable_of_faust_that_is_set_for_another_program_changes_no_setting_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    settings = Settings(state_dir=tmp_path)
    before = getattr(create_faust_app(Application, settings, claim_workspace(settings)).conf, name)
    monkeypatch.setenv(variable, value)
    assert getattr(create_faust_app(Application, settings, claim_workspace(settings)).conf, name) == before


async def test_faust_connects_with_the_login_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        kafka_security="sasl_plaintext",
        kafka_user="someone",
        kafka_password=SecretStr("hush-hush"),
        state_dir=tmp_path,
        worker_name="w1",
    )
    app = create_faust_app(Application, settings, claim_workspace(settings))
    create_post_state(app, settings)
    consumer = app.consumer._new_consumer_thread()._create_worker_consumer(app.transport)
    client = consumer._client
    assert (client._security_protocol, client._sasl_plain_username) == ("SASL_PLAINTEXT", "someone")
    assert client._sasl_plain_password == "hush-hush"


async def test_a_request_to_the_brokers_may_take_half_a_minute_whatever_the_session_lasts(app: Application) -> None:
    assert app.conf.broker_request_timeout == 30


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        # A worker that has never committed begins with the first record.
        ("consumer_auto_offset_reset", "earliest"),
        # A record counts as consumed when the agent has dealt with it, and its outputs are confirmed before that.
        ("stream_wait_empty", True),
        ("stream_publish_on_commit", False),
        # Faust would log errors about topics where nothing happens for minutes.
        ("broker_commit_livelock_soft_timeout", 3_600),
        ("stream_processing_timeout", 3_600),
        # Topics are made before the worker starts.
        ("topic_allow_declare", False),
        # The state of a partition is on one worker.
        ("table_standby_replicas", 0),
        ("store", URL("rocksdb://")),
        # Faust's own pages show tables to everybody.
        ("web_tables_enabled", False),
        ("web_in_thread", False),
        ("Table", StateTable),
        ("Router", TableRouter),
        ("PartitionAssignor", SharedCountAssignor),
        ("TableManager", SuspendingTableManager),
    ],
)
async def test_the_guarantees_rest_on_these_settings_of_faust(app: Application, setting: str, value: object) -> None:
    assert getattr(app.conf, setting) == value


async def test_only_the_topics_that_agents_read_come_in_runs(app: Application) -> None:
    scheduler = app.conf.ConsumerScheduler()
    raw, changelog = TP(TopicNames.of(app.settings).posts_raw, 0), TP("changelog", 0)
    records = [Record(0), Record(1)]
    assert [value.value for _, value in scheduler.iterate({raw: records})] == [records]
    assert [value for _, value in scheduler.iterate({changelog: records})] == records


@pytest.mark.parametrize("guarded", [True, False])
async def test_the_consumer_is_made_for_the_settings(tmp_path: Path, guarded: bool) -> None:
    settings = Settings(
        kafka=f"{LOOPBACK}:9", state_dir=tmp_path, worker_name="w1", topic_prefix="blue-", contiguity_guard=guarded
    )
    app = create_faust_app(Application, settings, claim_workspace(settings))
    create_post_state(app, settings)
    consumer: Any = app.consumer
    assert consumer.source_topics == TopicNames.of(settings).consumed
    assert consumer.contiguity_guard is guarded
    assert consumer.brokers._settings is settings


async def test_a_coordinator_that_moved_is_looked_for_and_asked_for_the_commits(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for a group that committed nothing, it would begin with the start of every log, and tell nobody."""

    class Coordinator:
        asked = lookups = 0

        async def _send_req(self, request: Any) -> Any:
            self.asked += 1
            if self.asked == 1:
                return OffsetFetchResponse_v3(0, [], NotCoordinatorForGroupError.errno)
            return OffsetFetchResponse_v3(0, [("raw", [(0, 60, "", 0)])], 0)

        def coordinator_dead(self) -> None:
            self.lookups += 1

        async def _do_heartbeat(self) -> bool:
            return True

        async def fetch_committed_offsets(self, partitions: list[Any]) -> dict[Any, OffsetAndMetadata]:
            request = OffsetFetchRequest("signalflow", [("raw", [0])])
            with contextlib.suppress(NotCoordinatorForGroupError):
                await self._send_req(request)
            answer = await self._send_req(request)
            return {
                TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata)
                for topic, partitions in answer.topics
                for partition, offset, metadata, _ in partitions
            }

    coordinator = Coordinator()

    async def start(thread: Any) -> None:
        thread._consumer = SimpleNamespace(_coordinator=coordinator)

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", start)
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    await thread.on_start()
    assert await thread._committed([TP("raw", 0)]) == {TP("raw", 0): Commit(Position(60), None)}
    assert coordinator.lookups == 1


async def test_the_connection_of_a_partition_is_the_connection_to_its_leader(app: Application) -> None:
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    raw = TopicPartition("raw", 0)
    leaders, connections = (
        {raw: 1},
        {(1, ConnectionGroup.DEFAULT): "to 1", (1, ConnectionGroup.COORDINATION): "of the group"},
    )
    cluster = SimpleNamespace(leader_for_partition=leaders.get)
    thread._consumer = SimpleNamespace(_client=SimpleNamespace(cluster=cluster, _conns=connections))
    assert thread.connection_of(TP("raw", 0)) == "to 1"
    leaders[raw] = 2
    assert thread.connection_of(TP("raw", 0)) is None, "there is no connection to the new leader yet"
    assert thread.connection_of(TP("raw", 1)) is None, "nobody leads it"


async def test_faust_starts_no_producer(app: Application) -> None:
    assert list(app.boot_strategy.kafka_producer()) == []


async def test_a_consumer_whose_fetch_loop_has_ended_stops_the_worker(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Thread:
        has_ended = True

        async def getmany(self, active_partitions: Any, timeout: float) -> dict[Any, Any]:
            return {}

    create_post_state(app, app.settings)
    consumer = app.consumer
    monkeypatch.setattr(consumer, "_thread", Thread())
    monkeypatch.setattr(type(consumer), "_get_active_partitions", lambda _: {"any"})
    consumer.can_resume_flow.set()
    with pytest.raises(Fatal, match="fetches no more"):
        async for _ in consumer.getmany(0.1):
            pass


async def test_a_fetch_loop_that_ended_is_detected(app: Application) -> None:
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    assert not thread.has_ended, "it has not begun"

    class Fetcher:
        _fetch_task: Any = None

    class WithFetcher:
        _fetcher = Fetcher()

    thread._consumer = WithFetcher()
    Fetcher._fetch_task = asyncio.ensure_future(asyncio.Event().wait())
    assert not thread.has_ended
    Fetcher._fetch_task.cancel()
    await asyncio.wait({Fetcher._fetch_task})
    assert thread.has_ended


async def test_aiokafka_keeps_its_fetch_task_in_the_attributes_that_the_consumer_reads(app: Application) -> None:
    """The names belong to aiokafka 0.14."""
    source = inspect.getsource(aiokafka.consumer.fetcher.Fetcher)
    assert "self._fetch_task = create_task(self._fetch_requests_routine())" in source
    assert "self._fetcher = Fetcher(" in inspect.getsource(aiokafka.AIOKafkaConsumer)


async def test_a_worker_surely_leads_only_for_as_long_as_its_last_answered_heartbeat_lasts(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = [False]

    class Coordinator:
        async def _do_heartbeat(self) -> bool:
            return answers[0]

    class WithCoordinator:
        _coordinator: Any = Coordinator()

    create_post_state(app, app.settings)
    monkeypatch.setattr(type(app), "is_leader", lambda _: True)
    app.rebalancing = False
    consumer = app.consumer
    thread = consumer._thread = consumer._new_consumer_thread()
    thread._consumer = WithCoordinator()
    thread._note_heartbeats()
    beat = thread._consumer._coordinator._do_heartbeat
    assert not await beat()
    assert app.leads_until() == -math.inf, "no heartbeat was answered yet"
    answers[0] = True
    before = steady()
    assert await beat()
    answers[0] = False
    assert not await beat()
    lasts = min(app.settings.broker_session_timeout, app.settings.broker_rebalance_timeout)
    assert before <= app.leads_until() - lasts <= steady()
    app.rebalancing = True
    assert app.leads_until() == -math.inf, "another worker may become leader"


async def test_aiokafka_sends_heartbeats_through_the_method_that_the_consumer_replaces(app: Application) -> None:
    """The names belong to aiokafka 0.14."""
    source = inspect.getsource(aiokafka.consumer.group_coordinator.GroupCoordinator)
    assert "success = await self._do_heartbeat()" in source
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(aiokafka.AIOKafkaConsumer)


async def test_a_worker_that_takes_more_partitions_has_them_everywhere(app: Application) -> None:
    table = create_post_state(app, app.settings)
    topic = raw_bytes_topic(app, "raw")
    app.topics.add(topic)
    before = topic.queue.maxsize
    app.use_partitions(24)
    assert (app.settings.topic_partitions, app.conf.topic_partitions, table.partitions) == (24, 24, 24)
    assert topic.queue.maxsize == app.conf.stream_buffer_maxsize == 2 * before, "room for the runs of all partitions"
