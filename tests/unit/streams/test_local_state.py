"""Stores on real RocksDB that cannot be used: damaged, of another changelog, or ahead of their changelog."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from signalflow.errors import Fatal
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.local_state import LocalState
from signalflow.streams.state_table import StateTable
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state

ID = UUID(int=1)
CHANGELOG = f"cluster {ID}"
KEYS = [b"k%d" % number for number in range(2_000)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, worker_name="w1", topic_partitions=4)


@pytest.fixture
def table(settings: Settings) -> StateTable:
    return create_post_state(create_faust_app(Application, settings, claim_workspace(settings)), settings)


@pytest.fixture
def state(table: StateTable, settings: Settings) -> LocalState:
    return LocalState(settings.state_dir / "workers" / "w1", table.data)


def fill(table: StateTable, *partitions: int) -> None:
    """Stores whose files hold states, and that are closed."""
    for partition in partitions:
        for first in range(0, len(KEYS), 500):
            table._put(partition, {key: os.urandom(145) for key in KEYS[first : first + 500]}, first)
        store = table.data._dbs.pop(partition)
        store.flush()
        store.close()


def states(table: StateTable, partition: int) -> int:
    return sum(value is not None for value in table.read(partition, KEYS).values())


async def test_a_store_with_one_damaged_block_is_wiped_and_the_others_stay(
    table: StateTable, state: LocalState
) -> None:
    fill(table, 0, 1)
    file = max(table.data.partition_path(1).glob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[50_000:54_096] = bytes(4_096)
    file.write_bytes(content)
    await state.wipe_unreadable([0, 1, 2])
    assert (states(table, 0), states(table, 1)) == (len(KEYS), 0)
    assert table.offset_reached(1) == -1, "recovery must begin at the start of the changelog"


def test_damage_under_a_running_worker_stops_it_with_the_remedy(table: StateTable) -> None:
    fill(table, 1)
    file = max(table.data.partition_path(1).glob("*.sst"), key=lambda path: path.stat().st_size)
    with file.open("r+b") as content:
        content.seek(50_000)
        content.write(bytes(4_096))
    with pytest.raises(Fatal, match="start again, it is restored from its changelog"):
        table.read(1, KEYS)


async def test_a_store_that_another_process_has_open_is_not_wiped(table: StateTable, state: LocalState) -> None:
    fill(table, 0)
    other = table.data._open_for_partition(0)
    with pytest.raises(Exception, match="lock"):
        await state.wipe_unreadable([0])
    other.close()
    assert states(table, 0) == len(KEYS)


async def test_a_store_that_is_open_is_left_alone(table: StateTable, state: LocalState) -> None:
    fill(table, 0)
    assert states(table, 0) == len(KEYS)
    await state.wipe_unreadable([0])
    assert states(table, 0) == len(KEYS)


def test_all_stores_of_another_changelog_are_wiped_also_those_that_are_not_assigned(
    table: StateTable, state: LocalState
) -> None:
    fill(table, 0, 1, 3)
    assert state.fit(CHANGELOG, {0: 5_000, 1: 5_000}) == set(), "nothing is known of where they come from"
    assert state.fit(CHANGELOG, {0: 5_000}) == set()
    assert state.is_of(ID)
    assert not state.is_of(UUID(int=2))
    assert state.fit("cluster 2", {0: 5_000, 1: 5_000}) == {0, 1}
    assert [states(table, partition) for partition in (0, 1, 3)] == [0, 0, 0]
    fill(table, 0)
    assert state.fit("cluster 2", {0: 5_000}) == set()
    assert states(table, 0) == len(KEYS)


def test_a_store_ahead_of_its_changelog_is_wiped_alone(table: StateTable, state: LocalState) -> None:
    fill(table, 0, 1)
    assert state.fit(CHANGELOG, {0: 1_500, 1: 1_499, 2: -1}) == {1}
    assert (states(table, 0), states(table, 1)) == (len(KEYS), 0)
