"""What a simulator keeps over a restart."""

from dataclasses import replace
from pathlib import Path

import pytest

from signalflow.errors import Fatal
from signalflow.simulator.changes import AccessChanged, PostChanged
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simclock import Anchor, SimClock
from signalflow.simulator.store import Store

EPOCH = 1_777_990_400.0
CONFIG = Config(parameters=Parameters(seed=5, epoch=EPOCH, history=600.0), speed=0.0)


def test_kept_parameters_win_over_given_ones(tmp_path: Path) -> None:
    Store(tmp_path).open(CONFIG)
    world, clock = Store(tmp_path).open(replace(CONFIG, parameters=Parameters(seed=6, activity=9.0)))
    assert world.parameters == CONFIG.parameters
    assert clock.now() == EPOCH


def test_a_world_without_an_epoch_begins_now_and_keeps_that_epoch(tmp_path: Path) -> None:
    config = Config()
    first, _ = Store(tmp_path).open(config)
    second, clock = Store(tmp_path).open(config)
    assert first.parameters == second.parameters
    assert clock.now() >= first.parameters.epoch > EPOCH - 10 * 365 * 86_400


def test_a_half_written_change_is_dropped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    world, _ = store.open(CONFIG)
    post = world.new_posts_between(EPOCH - 600, EPOCH)[0]
    store.append(PostChanged(post.number, EPOCH, "deleted"))
    path = tmp_path / "changes.ndjson"
    path.write_bytes(path.read_bytes() + b'{"type":"happ')
    again = Store(tmp_path)
    world, _ = again.open(CONFIG)
    again.append(AccessChanged("python", "private"))
    world, _ = Store(tmp_path).open(CONFIG)
    found = world.post(post.id, EPOCH)
    assert found is not None
    assert found.removed_by(EPOCH) == "deleted"
    assert world.subreddit("python").access == "private"


def test_a_damaged_change_is_reported(tmp_path: Path) -> None:
    Store(tmp_path).open(CONFIG)
    (tmp_path / "changes.ndjson").write_bytes(b"rubbish\n")
    with pytest.raises(Fatal, match=r"changes\.ndjson cannot be read"):
        Store(tmp_path).open(CONFIG)


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match="cannot keep its state"):
        Store(tmp_path / "file" / "below").open(CONFIG)


def test_the_clock_follows_its_speed_and_never_goes_back() -> None:
    real = [100.0]
    clock = SimClock(Anchor(1_000.0, 100.0, 2.0), lambda: real[0])
    real[0] = 110.0
    assert clock.now() == 1_020.0
    clock.set_speed(0.0)
    real[0] = 120.0
    assert clock.now() == 1_020.0
    clock.jump(30.0)
    assert clock.now() == 1_050.0
    clock.set_speed(1.0)
    real[0] = 90.0
    assert clock.now() == 1_050.0
