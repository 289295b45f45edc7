"""The timer that removes states: each table by how far its own partitions were processed."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from agents import expire
from agents.expire import SLACK_US
from signalflow.streams.watermarks import Watermarks
from tests.unit.streams.fakes import FakeApp
from tests.unit.test_upkeep_metrics import Timers


class Table:
    """A table whose keys expired at a time."""

    def __init__(self, name: str, expired_us: int) -> None:
        self.name, self._expired_us = name, expired_us
        self.removed: list[tuple[int, bytes]] = []
        self.changelog_topic = SimpleNamespace(get_topic_name=lambda: f"{name}-changelog")

    def expired_keys(self, partition: int, now_us: int, limit: int) -> list[bytes]:
        return [b"old"] if now_us >= self._expired_us else []

    async def write(self, producer: Any, by_partition: Any, check: Any) -> None:
        check()
        self.removed += [(partition, key) for partition, state in by_partition.items() for key in state]


class App(Timers, FakeApp):
    """An application that has two partitions of each changelog."""

    rebalancing = in_recovery = False

    def __init__(self) -> None:
        Timers.__init__(self)
        FakeApp.__init__(self)
        tps = {TP(f"{name}-changelog", partition) for name in ("posts", "subreddits", "other") for partition in (0, 1)}
        self.assignor = SimpleNamespace(assigned_actives=lambda: tps)


async def test_each_table_expires_by_its_own_progress() -> None:
    app = App()
    posts, subreddits = Table("posts", 1_000), Table("subreddits", 5_000)
    of_posts, of_subreddits = Watermarks(), Watermarks()
    tables: Any = [(posts, of_posts), (subreddits, of_subreddits)]
    expire.register(app, tables, lambda: SimpleNamespace(producer=None))  # type: ignore[arg-type,return-value]
    await app.bodies["expire"]()
    assert posts.removed == subreddits.removed == [], "nothing was processed yet"
    of_posts.advance(0, SLACK_US + 1_000)
    of_posts.advance(1, SLACK_US + 999)
    of_subreddits.advance(0, SLACK_US + 4_999)
    of_subreddits.advance(1, SLACK_US + 5_000)
    await app.bodies["expire"]()
    assert (posts.removed, subreddits.removed) == ([(0, b"old")], [(1, b"old")])
