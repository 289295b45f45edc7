"""The parts of a stack, and the errors for options and ports that cannot be used."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.errors import Fatal
from signalflow.local.parts import Part, PartState
from signalflow.local.ports import free_ports, is_free
from signalflow.local.stack import Stack, StackOptions
from signalflow.settings import Settings


def names(stack: Stack) -> list[str]:
    return [part.name for stage in stack.stages([]) for part in stage if isinstance(part, Part)]


def stack(tmp_path: Path, workers: int = 1, **settings: Any) -> Stack:
    return Stack(StackOptions(tmp_path, port_base=20_000, workers=workers), Settings(**settings))


def test_a_stack_has_all_parts_by_default(tmp_path: Path) -> None:
    assert names(stack(tmp_path, workers=2)) == ["postgres", "kafka-1", "simulator", "api", "worker-1", "worker-2"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"kafka": "broker:9092"}, "kafka-1"),
        ({"database_url": "postgresql://u@h/d"}, "postgres"),
        ({"reddit_base_url": "http://127.0.0.1:1"}, "simulator"),
        ({"reddit_client_id": "id", "reddit_client_secret": "secret"}, "simulator"),
        ({"reddit_source": "feeds", "reddit_contact": "you@example.org"}, "simulator"),
    ],
)
def test_a_server_that_the_user_names_is_not_started(tmp_path: Path, given: dict[str, Any], missing: str) -> None:
    assert set(names(stack(tmp_path))) - set(names(stack(tmp_path, **given))) == {missing}


def test_with_reddit_credentials_the_workers_are_not_pointed_at_a_simulator(tmp_path: Path) -> None:
    real = stack(
        tmp_path,
        kafka="broker:9092",
        database_url="postgresql://u@h/d",
        reddit_client_id="id",
        reddit_client_secret="secret",
    )
    settings = real.effective_settings()
    assert (settings.reddit_base_url, settings.reddit_client_id) == ("", "id")


def test_credentials_do_not_keep_a_simulator_away_that_is_asked_for(tmp_path: Path) -> None:
    keys = {"reddit_client_id": "id", "reddit_client_secret": "secret"}
    simulated = stack(tmp_path, reddit_source="simulator", **keys)
    assert "simulator" in names(simulated)
    assert simulated.effective_settings().reddit_base_url == simulated.simulator_url


def test_all_parts_get_the_source_and_the_contact_and_none_of_the_options_has_the_secret_of_a_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALFLOW_REDDIT_FEED", "feed=hushhush&user=ada")
    feeds = stack(tmp_path, reddit_source="feeds", reddit_contact="you@example.org", kafka="broker:9092")
    decided = feeds.decided_settings()
    assert (decided["reddit_source"], decided["reddit_contact"]) == ("feeds", "you@example.org")
    worker = next(part for stage in feeds.stages([]) for part in stage if part.name == "worker-1")
    assert isinstance(worker, Part)
    launch = worker.launch()
    assert launch.env["SIGNALFLOW_REDDIT_SOURCE"] == "feeds"
    assert launch.env["SIGNALFLOW_REDDIT_CONTACT"] == "you@example.org"
    assert "hushhush" not in f"{decided} {launch.argv}"
    assert "reddit_source" not in stack(tmp_path).decided_settings()


def test_a_taken_port_is_reported_with_the_part_that_needs_it_and_what_to_do(tmp_path: Path) -> None:
    base = free_ports(1)[0]
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 2))
        other.listen()
        assert not is_free(base + 2)
        with pytest.raises(Fatal, match=rf"PostgreSQL needs port {base + 2}, which another program uses.*--port-base"):
            Stack(StackOptions(tmp_path, port_base=base), Settings()).check_ports()


@pytest.mark.parametrize("options", [{"port_base": 80}, {"port_base": 65_500}, {"workers": 0}, {"workers": 65}])
def test_an_error_for_an_option_out_of_range_names_it(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match=r"--port-base|--workers"):
        StackOptions(tmp_path, **options)


def test_two_stacks_a_hundred_ports_apart_share_no_port(tmp_path: Path) -> None:
    def taken(base: int) -> set[int]:
        plan = Stack(StackOptions(tmp_path, port_base=base, workers=64), Settings()).plan
        return {plan.api, plan.simulator, plan.postgres, *plan.brokers(3), *plan.controllers(3)} | {
            plan.worker(number) for number in range(1, 65)
        }

    assert len(taken(20_000)) == 9 + 64
    assert not taken(20_000) & taken(20_100)


def test_the_status_shows_no_password(tmp_path: Path) -> None:
    url = "postgresql://someone:hush-hush@host:5432/db?sslmode=verify-full"
    worker: Any = SimpleNamespace(pid=None, state=PartState.READY, part=SimpleNamespace(address="http://127.0.0.1:1"))
    status = stack(tmp_path, database_url=url).status({"worker-1": worker})
    assert status.database_url == url.replace("hush-hush", "***")
    assert "hush-hush" not in status.model_dump_json()


@pytest.mark.parametrize("given", [{}, {"database_url": "postgresql://someone:hush-hush@host/db"}])
def test_no_part_has_a_password_in_its_arguments(tmp_path: Path, given: dict[str, Any]) -> None:
    made = stack(tmp_path, api_secret="hush-hush" * 8, **given)
    for part in (part for stage in made.stages([]) for part in stage if isinstance(part, Part)):
        if part.prepare is None:
            assert "hush-hush" not in " ".join(part.launch().argv)


def test_our_own_kafka_is_not_started_for_settings_of_another(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="SIGNALFLOW_KAFKA_SECURITY=ssl is for a Kafka of yours: set SIGNALFLOW_KAFKA"):
        stack(tmp_path, kafka_security="ssl")
    assert "kafka-1" not in names(stack(tmp_path, kafka="broker:9093", kafka_security="ssl"))
