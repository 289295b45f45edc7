"""The poller with feeds: what they tell is published with nulls, and what they cannot do is not asked for."""

import asyncio

import pytest

from signalflow.events import encode
from tests.contract.feeds_day import stored
from tests.contract.poller_run import NAMES, World, begin, finds, poller_of, running
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("quick")
async def test_posts_of_feeds_are_published_once_with_nulls_for_what_feeds_do_not_tell(world: World) -> None:
    async with running(world, source="feeds") as run:
        await begin(run)
        await finds(run)
        polls = len(run.requests("/r/"))
        await until(lambda: len(run.requests("/r/")) > polls + 5, "pages that show the same posts again")
        assert not run.requests("/api/")
        assert {entry.path.partition("?")[0] for entry in run.requests()} == {
            "/r/popular/new/.rss",
            "/r/askscience+funny+python/new/.rss",
        }, "one group, and a listing that tells the time"
    assert world.ids("refresh") == []
    assert len(set(world.ids("new"))) == len(world.published)
    for envelope in world.published:
        post = envelope.payload
        assert (post.score, post.num_comments, post.upvote_ratio, post.over_18, post.flair) == (None,) * 5
        assert b'"score":null,"num_comments":null' in encode(envelope)
    assert set(world.states) <= set(NAMES), "nobody watches the listing that tells the time"


@pytest.mark.usefixtures("quick")
async def test_a_successor_does_not_publish_the_posts_of_feeds_again(world: World) -> None:
    async with running(world, source="feeds") as run:
        await begin(run)
        await until(lambda: set(world.polled) == set(NAMES), "the first report")
        successor = World(known=[stored(envelope) for envelope in world.published])
        task = asyncio.create_task(poller_of(run.poller._settings, run.poller._client, successor).run())
        missing = await run.add("python", 3)
        await until(lambda: set(successor.ids("new")).issuperset(missing), "what came after the takeover")
        task.cancel()
        await asyncio.wait({task})
    assert set(successor.ids("new")).isdisjoint(post.id for post in successor.known)
    assert successor.ids("refresh") == []
    assert not successor.opened


@pytest.mark.usefixtures("quick")
async def test_the_api_learns_the_numbers_of_posts_that_feeds_found(world: World) -> None:
    async with running(world, source="feeds") as run:
        await begin(run)
        known = [stored(envelope) for envelope in world.published]
    later = World(known=known)
    async with running(later) as run:
        await until(lambda: set(later.ids("refresh")) & {post.id for post in known}, "a known post with its score")
        shown = [envelope for envelope in later.published if envelope.payload.id in {post.id for post in known}]
    assert all(envelope.payload.score is not None and envelope.mode == "refresh" for envelope in shown)
