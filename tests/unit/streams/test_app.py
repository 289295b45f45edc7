"""What Faust does by itself with the application's settings."""

from pathlib import Path

import pytest

from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.workspace import claim_workspace
from signalflow.topics import topic_specs
from tables.post_state import create_post_state


@pytest.fixture
def app(tmp_path: Path) -> Application:
    """An application whose brokers are away."""
    settings = Settings(kafka=f"{LOOPBACK}:{free_ports(1)[0]}", state_dir=tmp_path, worker_name="w1")
    return create_faust_app(Application, settings, claim_workspace(settings))


async def test_faust_asks_no_broker_for_topics_which_would_end_a_worker_while_brokers_are_away(
    app: Application,
) -> None:
    table = create_post_state(app, app.settings)
    await app._leader_assignor.on_start()
    await table.changelog_topic.maybe_declare()
    own = {topic.get_topic_name() for topic in app.topics} | {table.changelog_topic.get_topic_name()}
    assert len(own) == 2
    assert own <= {spec.name for spec in topic_specs(app.settings)}, "or nobody would make them"


async def test_the_leaders_topic_has_one_partition(app: Application) -> None:
    await app._leader_assignor.on_start()
    (name,) = [topic.get_topic_name() for topic in app.topics]
    (spec,) = [spec for spec in topic_specs(app.settings) if spec.name == name]
    assert spec.partitions == 1


async def test_a_key_that_no_worker_has_is_routed_nowhere(app: Application) -> None:
    create_post_state(app, app.settings)
    with pytest.raises(KeyError):
        app.router.key_store("post_state", "abc")


async def test_a_fetch_that_finds_nothing_does_not_hold_up_a_rebalance_for_long(app: Application) -> None:
    create_post_state(app, app.settings)
    thread = app.consumer._new_consumer_thread()
    consumer = thread._create_worker_consumer(app.transport)
    assert consumer._fetch_max_wait_ms <= 500
