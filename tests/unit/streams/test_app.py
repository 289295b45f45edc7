"""What Faust does by itself with the application's settings."""

import asyncio
import inspect
import math
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from faust.transport.drivers import aiokafka as driver

from signalflow.clock import steady
from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal
from signalflow.kafka.topics import topic_specs
from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.settings import Settings
from signalflow.streams import consumer_thread as consuming
from signalflow.streams.app import Application, create_faust_app, raw_bytes_topic
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state


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


async def test_a_fetch_that_finds_nothing_does_not_hold_up_a_rebalance_for_long(app: Application) -> None:
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    consumer = thread._create_worker_consumer(app.transport)
    assert consumer._fetch_max_wait_ms <= 500


async def test_a_worker_whose_brokers_go_away_while_it_connects_waits_for_them(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    async def start(thread: Any) -> None:
        tries.append("")
        thread._consumer = thread._create_worker_consumer(app.transport)
        if len(tries) < 3:
            await thread._consumer.start()

    monkeypatch.setattr(consuming, "WHILE_AWAY", Backoff(first=0, most=0))
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", start)
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    await thread.on_start()
    assert len(tries) == 3


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
