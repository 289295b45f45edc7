"""Posts that take off have their comments read from their tree, beside all else; so have those that are asked for."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import pytest

from signalflow.domain.post_run import PostRun
from signalflow.domain.subreddits import Subreddit
from signalflow.events import CommentEnvelope
from signalflow.metrics import COMMENTS_NOT_FOLLOWED
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.comments import PLACE_DIGITS, parent_name
from signalflow.simulator.comments import comment_at as true_comment
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.subreddits import base36
from signalflow.simulator.trees import depth_of
from tests.contract.poller_run import World, begin, finds, poller_of, running
from tests.contract.virtual_time import EPOCH, VirtualLoop, client_of, patched_clocks, simulator_of, utc
from tests.waiting import until

pytestmark = pytest.mark.slow

HOUR = 3600.0
# The first and the last posts are not judged: the last may be found after the end.
MARGIN = 120.0
PER_MINUTE = 60.0


@dataclass
class Hours:
    """What an hour of polling gave: delays of new posts, comments, and the requests."""

    simulator: Simulator
    delays: list[float]
    missed: list[str]
    comments: list[CommentEnvelope]

    @property
    def starts(self) -> list[float]:
        return [entry.sim for entry in self.simulator.entries]

    def asked(self, beginning: str) -> list[str]:
        return [entry.path for entry in self.simulator.entries if entry.path.startswith(beginning)]


def an_hour(comments_per_post: int) -> Hours:
    """A world in which a post takes off every few minutes, and no subreddit's comments are followed."""
    world = World(
        configured=[Subreddit(row.name.lower(), row.interval_seconds, row.priority) for row in read_subreddits()]
    )
    settings = Settings(
        reddit_base_url="http://simulator",
        reddit_client_id="",
        comments_per_post=comments_per_post,
        first_look_hours=0,
        discover_minutes=0,
    )
    parameters = Parameters(seed=7, epoch=EPOCH, life=0.0, fuzz=0.0, stories_per_hour=40.0)
    simulator = simulator_of(Config(parameters))

    async def run() -> None:
        client = client_of(simulator, settings.reddit_timeout)
        poller = poller_of(settings, client, world, clock=utc, pace=60.0 / PER_MINUTE)
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(HOUR)
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        runner.run(run())
    found = {each.payload.id: each.metadata.observed_at.timestamp() for each in reversed(world.published)}
    delays, missed = [], []
    for post in simulator.world.new_posts_between(EPOCH + MARGIN, EPOCH + HOUR - MARGIN):
        id_ = base36(post.number)
        if id_ in found:
            delays.append(found[id_] - post.created)
        elif post.visible_at(EPOCH + HOUR):
            missed.append(id_)
    return Hours(simulator, delays, missed, world.comments.published)


def test_posts_that_take_off_have_their_best_comments_read_and_discovery_does_not_suffer() -> None:
    without = an_hour(0)
    counted = COMMENTS_NOT_FOLLOWED._value.get()
    with_trees = an_hour(20)
    assert COMMENTS_NOT_FOLLOWED._value.get() - counted > 20
    assert without.asked("/comments/") == without.comments == []
    asked = with_trees.asked("/comments/")
    posts = {path.removeprefix("/comments/").split("?")[0] for path in asked}
    assert len(posts) > 3
    assert all("limit=20&" in path and "sort=top" in path for path in asked)
    # A tenth of the 20 listings a minute, and what the trees left out is asked for within it.
    assert len(asked) <= 2 * 60
    assert {each.payload.post_id for each in with_trees.comments} <= posts
    per_post = Counter(each.payload.post_id for each in with_trees.comments if each.mode == "new")
    reads = Counter(path.removeprefix("/comments/").split("?")[0] for path in asked)
    assert all(count <= 20 * reads[post] for post, count in per_post.items())
    assert max(per_post.values()) >= 15
    end = EPOCH + HOUR
    for each in with_trees.comments:
        post = with_trees.simulator.world.post(each.payload.post_id, end)
        assert post is not None
        comment = true_comment(post, int(each.payload.id[-PLACE_DIGITS:], 36), end)
        assert comment is not None
        assert each.payload.parent_id == parent_name(comment)
        assert each.payload.depth == depth_of(post, comment.place)
    assert (without.missed, with_trees.missed) == ([], [])
    assert median(with_trees.delays) <= 1.05 * median(without.delays) + 0.5
    starts = with_trees.starts
    assert all(later - earlier >= 60.0 / PER_MINUTE - 1e-3 for earlier, later in pairwise(starts))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("source", "shown"), [("simulator", 110), ("feeds", 100)])
async def test_the_comments_of_a_post_are_read_when_somebody_asks_for_them(
    world: World, source: str, shown: int
) -> None:
    counted = COMMENTS_NOT_FOLLOWED._value.get()
    async with running(world, source=source) as run:
        await begin(run)
        (id_,) = (await run.control(add="askscience", rise=50, tau=4, talk=200))["added"]

        def written() -> int:
            at = run.simulator.clock.now()
            post = run.simulator.world.post(id_, at)
            return 0 if post is None else post.comments_at(at)

        await until(lambda: written() >= 120, "120 comments", 60)
        world.comments.runs.append(PostRun(1, [id_, "zzzzzz"], 110))
        await until(lambda: len(world.comments.run_results.get(1, ())) == 2, "both results", 60)
    read, missing = (world.comments.run_results[1][post] for post in (id_, "zzzzzz"))
    assert (read.published, read.known, read.failed, read.error) == (shown, 0, 0, None)
    assert missing.error == "refused"
    assert {each.payload.post_id for each in world.comments.published} == {id_}
    assert len(set(world.comments.ids)) == len(world.comments.ids) == shown
    if source == "feeds":
        assert read.not_followed is None
    else:
        assert read.not_followed is not None
        assert read.not_followed >= 10
    assert COMMENTS_NOT_FOLLOWED._value.get() - counted == (read.not_followed or 0)


@pytest.mark.usefixtures("quick")
async def test_a_page_instead_of_one_post_is_no_block_of_the_address(world: World) -> None:
    """A feed of a private subreddit is refused with the page that a blocked address gets."""
    async with running(world, source="feeds") as run:
        await begin(run)
        (id_,) = (await run.control(add="askscience", talk=50))["added"]
        await run.control(path=f"/comments/{id_}", block="forbidden", count=-1)
        world.comments.runs.append(PostRun(1, [id_], 20))
        await until(lambda: id_ in world.comments.run_results.get(1, ()), "a result", 30)
        await finds(run)
    assert world.comments.run_results[1][id_].error == "refused"
    assert len([entry for entry in run.requests(f"/comments/{id_}") if entry.status == 403]) == 1
