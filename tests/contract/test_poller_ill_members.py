"""One subreddit spoils every listing that names it, in one way or another, for a quarter of an hour of virtual time."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest

from signalflow.domain.subreddits import Subreddit
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.subreddits import base36
from tests.contract.poller_run import World, poller_of
from tests.contract.reddit_servers import EMPTY_LISTING
from tests.contract.virtual_time import EPOCH, VirtualLoop, client_of, fields_of, now, patched_clocks, simulator_of, utc

pytestmark = pytest.mark.slow

ILL = "funny"
WELL = ("askreddit", "worldnews", "gaming", "news", "movies", "technology", "science")
BEGIN, SECONDS, MARGIN = 120.0, 900.0, 60.0


def listing_of(**post: Any) -> str:
    """A listing with one post."""
    child = {"kind": "t3", "data": fields_of({"id": "zzzz", "title": "t", "created_utc": EPOCH + 1.0} | post)}
    return json.dumps({"kind": "Listing", "data": EMPTY_LISTING["data"] | {"children": [child], "dist": 1}})


# What is wrong with every listing that names the subreddit, and the state that tells it.
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "an empty listing": ({"body": json.dumps(EMPTY_LISTING)}, "empty_answer"),
    "posts of another subreddit": ({"body": listing_of(subreddit="pics")}, "empty_answer"),
    "nothing but an advertisement": ({"body": listing_of(subreddit=ILL, promoted=True)}, "empty_answer"),
    "no content": ({"status": 204, "body": ""}, "status_204"),
    "a redirect to the same page": ({"status": 302, "headers": {"Location": f"/r/{ILL}/new"}}, "status_302"),
    "an error as JSON with 200": ({"body": '{"message": "Internal Server Error", "error": 500}'}, "unusable_answer"),
    "null": ({"body": "null"}, "unusable_answer"),
    "a bad request": ({"status": 400}, "status_400"),
    "a refused token": ({"status": 401}, "status_401"),
    "too many requests, with a wait": ({"status": 429}, "rate_limited"),
    "too many requests, without a wait": ({"status": 429, "ct": "application/json"}, "rate_limited"),
    "a page of HTML as content type": ({"ct": "text/html"}, "ok"),
}


@dataclass
class TimedWorld(World):
    """Remembers when each post was first published."""

    at: dict[str, float] = field(default_factory=dict)

    async def publish(self, envelopes: Any) -> list[bool]:
        for envelope in envelopes:
            self.at.setdefault(envelope.payload.id, now())
        return await super().publish(envelopes)


def made(simulator: Simulator) -> dict[str, float]:
    """The posts of the subreddits that are well, and when they were made."""
    posts = simulator.world.new_posts_between(EPOCH + BEGIN, EPOCH + SECONDS - MARGIN)
    return {base36(post.number): post.created for post in posts if post.subreddit.key in WELL}


async def poll(world: TimedWorld, simulator: Simulator, fault: dict[str, Any]) -> frozenset[str]:
    settings = Settings(reddit_base_url="http://simulator", reddit_client_id="")
    poller = poller_of(settings, client_of(simulator, settings.reddit_timeout), world, clock=utc, pace=1.0)
    polling = asyncio.create_task(poller.run())
    await asyncio.sleep(BEGIN)
    simulator.faults.add({"path": "/r/", "member": ILL, "count": -1, **fault})
    await asyncio.sleep(EPOCH + SECONDS - now())
    assert not polling.done()
    polling.cancel()
    with suppress(asyncio.CancelledError):
        await polling
    return poller.planner.subreddits_set_aside


@pytest.mark.parametrize("fault", list(FAULTS))
def test_one_ill_subreddit_is_told_and_the_others_are_found_as_quickly_as_before(fault: str) -> None:
    details, state = FAULTS[fault]
    names = [Subreddit(name, 60, "fast") for name in (ILL, *WELL)]
    world = TimedWorld(configured=[*names, Subreddit("books", 600, "slow")])
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        simulator = simulator_of(Config(Parameters(seed=3, epoch=EPOCH, life=0.0, stories_per_hour=0.0), limit=10**6))
        set_aside = runner.run(poll(world, simulator, details))
        delays = {id_: world.at[id_] - at for id_, at in made(simulator).items() if id_ in world.at}
        lost = made(simulator).keys() - world.at.keys()
    assert not lost
    assert median(delays.values()) < 5.0
    assert world.states[ILL] == state
    assert set_aside == (set() if state == "ok" else {ILL})


USED_UP = {"x-ratelimit-used": "1000", "x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "5"}


@pytest.mark.parametrize("headers", [{}, USED_UP], ids=["without a reason", "of a limit that others used up"])
def test_429s_now_and_then_to_whatever_is_asked_blame_no_subreddit(headers: dict[str, str]) -> None:
    world = TimedWorld(configured=[Subreddit(name, 60, "fast") for name in (ILL, *WELL)])

    async def poll_while_requests_are_refused_now_and_then(simulator: Simulator) -> frozenset[str]:
        settings = Settings(reddit_base_url="http://simulator", reddit_client_id="")
        poller = poller_of(settings, client_of(simulator, settings.reddit_timeout), world, clock=utc, pace=1.0)
        polling = asyncio.create_task(poller.run())
        blamed: frozenset[str] = frozenset()
        await asyncio.sleep(MARGIN)
        for _ in range(30):
            simulator.faults.add({"path": "/", "status": 429, "headers": headers, "count": 1})
            await asyncio.sleep(SECONDS / 30)
            blamed |= poller.planner.subreddits_set_aside
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        assert len(simulator.faults) == 0
        return blamed

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        simulator = simulator_of(Config(Parameters(seed=3, epoch=EPOCH, life=0.0, stories_per_hour=0.0), limit=10**6))
        assert not runner.run(poll_while_requests_are_refused_now_and_then(simulator))
    assert set(world.states.values()) == {"ok"}
