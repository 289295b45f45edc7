"""An hour of virtual time in which everything goes wrong at once that one subreddit or one post can cause."""

import asyncio
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

import pytest

from signalflow.domain.subreddits import Subreddit
from signalflow.metrics import REGISTRY
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.changes import AccessChanged
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.subreddits import base36
from tests.contract.poller_run import World, poller_of
from tests.contract.reddit_servers import EMPTY_LISTING
from tests.contract.virtual_time import EPOCH, VirtualLoop, client_of, fields_of, now, patched_clocks, simulator_of, utc

pytestmark = pytest.mark.slow

HOUR = 3600.0
# What is wrong with every request that names the subreddit, and the state that tells it.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "funny": ({"status": 500}, "status_500"),
    "python": ({"status": 302, "headers": {"Location": "https://www.reddit.com/login/"}}, "status_302"),
    "movies": ({"status": 503}, "status_503"),
    "science": ({"truncate": True}, "unusable_answer"),
    "history": ({"status": 200, "body": ""}, "unusable_answer"),
    "space": ({"delay": 30.0}, "no_answer"),
    "books": ({"status": 403, "html": True}, "status_403"),
    "memes": ({"body": json.dumps(EMPTY_LISTING)}, "empty_answer"),
    "music": ({"status": 429}, "rate_limited"),
}
MISSPELT = ("pyhton", "wordlnews")
# Left out of combined listings without a word, from this second on.
REFUSED_AFTER = 600.0
REFUSED_LATER = {"askreddit": "private", "technology": "banned", "gaming": "quarantined"}
ILL = {*BROKEN, *MISSPELT, *REFUSED_LATER}
# What is wrong with every request by id that names the post. One post for each.
BROKEN_POSTS: tuple[dict[str, Any], ...] = ({"status": 500}, {"status": 302}, {"truncate": True}, {"status": 429})
# Posts that were made less than a minute before a change may be out of the poller's reach.
MARGIN = 60.0
ODD = {"upvote_ratio": 1.01, "edited": None}


@dataclass
class TimedWorld(World):
    """Remembers when each state was reported first."""

    told_at: dict[tuple[str, str], float] = field(default_factory=dict)

    async def report(
        self, polled: Mapping[str, datetime], states: Mapping[str, str], comments_polled: Mapping[str, datetime]
    ) -> None:
        await super().report(polled, states, comments_polled)
        for name, state in states.items():
            self.told_at.setdefault((name, state), now())


def strangers() -> list[dict[str, Any]]:
    """Items at the top of each listing that must not be published."""
    at = EPOCH + 1.0
    posts = [
        {"id": "zzzy", "subreddit": "news", "title": "Buy", "created_utc": at, "promoted": True},
        {"id": "zzzz", "subreddit": "u_seller", "title": "Buy", "created_utc": at},
        {"id": "zzzx", "subreddit": "news", "title": None, "created_utc": at},
    ]
    return [{"kind": "t3", "data": fields_of(post)} for post in posts]


def rejected() -> dict[str, float]:
    name = "signalflow_reddit_items_rejected_total"
    return {
        reason: REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0
        for reason in ("promoted", "not_asked", "title")
    }


def readable_posts(simulator: Simulator) -> dict[str, float]:
    """The posts that listings showed long enough to be read, and when they were made."""
    readable = {}
    for post in simulator.world.new_posts_between(EPOCH + MARGIN, EPOCH + HOUR - MARGIN):
        until = EPOCH + (REFUSED_AFTER if post.subreddit.key in REFUSED_LATER else HOUR) - MARGIN
        if post.subreddit.key not in BROKEN and post.created < until and post.visible_at(until):
            readable[base36(post.number)] = post.created
    return readable


def found_in(world: World, names: Collection[str], *, modes: Collection[str] = ("new",)) -> set[str]:
    """The posts of these subreddits that were discovered, or published in another of these modes."""
    found = [envelope.payload for envelope in world.published if envelope.mode in modes]
    return {post.id for post in found if post.subreddit.lower() in names}


def break_reddit(simulator: Simulator, posts: Collection[str]) -> None:
    """Add the faults that last: of subreddits, of posts, and of the items that listings show."""
    for name, (details, _) in BROKEN.items():
        simulator.faults.add({"path": "/r/", "member": name, "count": -1, **details})
    for id_, details in zip(posts, BROKEN_POSTS, strict=True):
        simulator.faults.add({"path": "/api/info", "member": f"t3_{id_}", "count": -1, **details})
    simulator.faults.add({"path": "/", "count": -1, "patch": ODD, "insert": strangers()})


async def an_hour(world: TimedWorld, simulator: Simulator) -> set[str]:
    """Everything goes wrong; returns the ids of the posts that break each batch."""
    settings = Settings(reddit_base_url="http://simulator", reddit_client_id="")
    poller = poller_of(settings, client_of(simulator, settings.reddit_timeout), world, clock=utc, pace=1.0)
    for name, (details, _) in BROKEN.items():
        simulator.faults.add({"path": "/r/", "member": name, "count": -1, **details})
    polling = asyncio.create_task(poller.run())
    await asyncio.sleep(300)
    well = {row.name for row in world.configured} - ILL
    # Those that are refreshed next.
    bad = sorted(found_in(world, well), key=lambda id_: poller.planner.posts[id_].due)[: len(BROKEN_POSTS)]
    simulator.faults.clear()
    break_reddit(simulator, bad)
    await asyncio.sleep(EPOCH + REFUSED_AFTER - now())
    for name, access in REFUSED_LATER.items():
        simulator.world.apply(AccessChanged(simulator.world.subreddit(name).name, access))  # type: ignore[arg-type]
    await asyncio.sleep(600)
    simulator.faults.clear()
    limits = {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "185"}
    simulator.faults.add({"path": "/r/", "status": 200, "body": "", "rl": False, "headers": limits})
    break_reddit(simulator, bad)
    await asyncio.sleep(EPOCH + HOUR - now())
    assert poller.planner.posts_set_aside == set(bad)
    assert poller.planner.subreddits_set_aside == ILL
    assert not polling.done()
    polling.cancel()
    with suppress(asyncio.CancelledError):
        await polling
    return set(bad)


def test_an_hour_in_which_everything_is_wrong_at_once() -> None:
    simulator_config = Config(Parameters(seed=12, epoch=EPOCH, life=0.0, stories_per_hour=0.0), limit=10**6)
    watched = [Subreddit(row.name.lower(), row.interval_seconds, row.priority) for row in read_subreddits()]
    watched += [Subreddit(name, 60, "fast") for name in MISSPELT]
    world = TimedWorld(configured=watched)
    before = rejected()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        simulator = simulator_of(simulator_config)
        bad = runner.run(an_hour(world, simulator))
        readable = readable_posts(simulator)
    found = {
        envelope.payload.id: envelope.metadata.observed_at.timestamp()
        for envelope in world.published
        if envelope.mode == "new"
    }
    assert found_in(world, REFUSED_LATER) & set(readable), "some were made before the refusal"
    assert set(readable) <= set(found), "nothing that could be read is lost"
    well = found_in(world, {row.name for row in watched} - ILL)
    delays = sorted(found[id_] - at for id_, at in readable.items() if id_ in well)
    print(f"\n{len(delays)} posts: median {median(delays):.1f} s, p99 {delays[len(delays) * 99 // 100]:.0f} s")
    assert len(delays) > 500
    assert median(delays) < 5.0
    for name, (_, state) in BROKEN.items():
        assert world.told_at[name, state] - EPOCH <= 300, name
    for name in MISSPELT:
        assert world.told_at[name, "unknown"] - EPOCH <= 300, name
    for name, state in REFUSED_LATER.items():
        assert world.told_at[name, state] - EPOCH - REFUSED_AFTER <= 300, name
    assert {name: state for name, state in world.states.items() if state != "ok"}.keys() == ILL
    assert not {"zzzx", "zzzy", "zzzz"}.intersection(envelope.payload.id for envelope in world.published)
    assert {reason: count - before[reason] for reason, count in rejected().items()} == dict.fromkeys(before, 1)
    refreshed = {envelope.payload.id for envelope in world.published if envelope.mode == "refresh"}
    assert len(refreshed) > len(found) / 2
    assert bad <= well
    banned = found_in(world, {"technology"})
    read_back = found_in(world, {"technology"}, modes=("backfill",))
    assert set(world.not_shown) <= banned | read_back, "only posts of a banned subreddit vanish by id"
    made_before = banned & set(readable)
    assert made_before
    assert made_before <= set(world.not_shown)
