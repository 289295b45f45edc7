"""The poller reads listings by rank beside `new`, with both clients: each observation says where its post stood."""

from collections import defaultdict

import pytest

from signalflow.domain import ranked_listings
from signalflow.domain.discovery import PopularSubreddit
from signalflow.domain.once import OnceRun
from signalflow.domain.subreddits import Subreddit
from tests.contract.poller_run import NAMES, World, begin, finds, running
from tests.simulated_ranks import true_ranks
from tests.waiting import until

pytestmark = pytest.mark.slow

SORTS = ("new", "hot", "rising", "top:week")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks are looked at every two seconds."""
    monkeypatch.setattr(ranked_listings, "EVERY", {})
    monkeypatch.setattr(ranked_listings, "SELDOM", 2.0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("source", ["simulator", "feeds"])
async def test_an_observation_in_a_listing_by_rank_has_its_true_place(world: World, source: str) -> None:
    world.configured = [Subreddit(name, 60, "fast", post_sorts=SORTS) for name in NAMES]
    # With fewer posts nothing rises at some hours of the day.
    async with running(world, source=source, activity=1.0) as run:
        await begin(run)

        def told() -> set[str]:
            return {each.metadata.post_sort for each in world.published if each.metadata.rank is not None}

        await until(lambda: told() == {"hot", "rising", "top:week"}, "observations in all listings")
        await finds(run)
        by_rank = [each for each in world.published if each.metadata.rank is not None]
        shown: dict[tuple[str, str], set[str]] = defaultdict(set)
        for envelope in by_rank:
            metadata = envelope.metadata
            assert envelope.mode == metadata.post_sort.partition(":")[0]
            assert metadata.listing == envelope.payload.subreddit.lower()
            observed_at = metadata.observed_at.timestamp()
            assert metadata.rank in true_ranks(
                run.simulator.world, metadata.listing, metadata.post_sort, envelope.payload.id, observed_at
            )
            shown[metadata.post_sort, metadata.listing].add(envelope.payload.id)
        assert len(shown) > 5
        others = [each for each in world.published if each.metadata.rank is None]
    assert {(each.metadata.post_sort, each.metadata.listing) for each in others} == {("new", None)}
    assert not world.opened


@pytest.mark.usefixtures("quick")
async def test_the_window_of_top_is_asked_for(world: World) -> None:
    world.configured = [Subreddit(name, 60, "fast", post_sorts=("new", "top:week")) for name in NAMES]
    async with running(world) as run:
        await until(lambda: bool(world.ids("top")), "an observation of top")
        (asked,) = {entry.path for entry in run.requests("/r/askscience+funny+python/top")}
    assert "t=week" in asked


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("source", ["simulator", "feeds"])
async def test_what_rises_in_other_subreddits_is_reported_and_not_published(world: World, source: str) -> None:
    async with running(world, source=source, discover_minutes=0.02) as run:
        await until(lambda: {post.post_sort for post in world.rising} == {"rising", "hot"}, "posts of r/popular")
        paths = {entry.path.partition("?")[0] for entry in run.requests("/r/popular/")}
    suffix = "/.rss" if source == "feeds" else ""
    assert {f"/r/popular/rising{suffix}", f"/r/popular/hot{suffix}"} <= paths
    others = {post.subreddit.lower() for post in world.rising}
    assert len(others) > 10
    assert others.isdisjoint(NAMES)
    assert {envelope.payload.subreddit.lower() for envelope in world.published} <= set(NAMES)
    assert {envelope.metadata.listing for envelope in world.published} <= {None, "popular"}
    assert set(world.states) <= set(NAMES), "nobody watches r/popular"


@pytest.mark.usefixtures("quick")
async def test_the_list_of_popular_subreddits_is_reported_and_costs_a_request_an_hour(world: World) -> None:
    async with running(world, discover_minutes=0.02) as run:
        await until(lambda: bool(world.popular), "popular subreddits")
        await finds(run)
        (asked,) = run.requests("/subreddits/")
        public = [sub for sub in run.simulator.world.subreddits.values() if sub.access == "public"]
    assert asked.path.startswith("/subreddits/popular?")
    assert "limit=100" in asked.path
    largest = sorted(public, key=lambda sub: (-sub.subscribers, sub.key))[:100]
    assert world.popular == [PopularSubreddit(sub.name, rank) for rank, sub in enumerate(largest, 1)]


@pytest.mark.usefixtures("quick")
async def test_feeds_have_no_list_of_popular_subreddits_and_are_not_asked_for_it(world: World) -> None:
    async with running(world, source="feeds", discover_minutes=0.02) as run:
        await until(lambda: {post.post_sort for post in world.rising} == {"rising", "hot"}, "posts of r/popular")
        assert not run.requests("/subreddits/")
    assert not world.popular


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("source", ["simulator", "feeds"])
async def test_a_run_reads_what_was_asked_for_once_within_the_same_budget(world: World, source: str) -> None:
    asked = OnceRun(3, "top:day", ["worldnews", "No_such_place", "python"], 4)
    async with running(world, source=source) as run:
        await begin(run)
        world.runs.append(asked)
        await until(lambda: world.is_reported_done(asked), "the results of the run")
        pages = [entry.path for entry in run.requests("/r/") if "/top" in entry.path]
    results = world.run_results[3]
    assert results["no_such_place"].error == "refused"
    for name in ("worldnews", "python"):
        result = results[name]
        assert (result.published + result.known, result.failed, result.error) == (4, 0, None)
    assert len(pages) == 3
    assert all("limit=4" in path and "t=day" in path for path in pages)
    of_run = [each for each in world.published if each.metadata.post_sort == "top:day"]
    assert [each.metadata.rank for each in of_run if each.metadata.listing == "worldnews"] == [1, 2, 3, 4]
    assert len(of_run) <= 8
    assert set(world.states) <= {*NAMES, "worldnews"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("source", ["simulator", "feeds"])
async def test_a_run_reads_the_newest_comments_too_of_subreddits_whose_comments_nobody_follows(
    world: World, source: str
) -> None:
    asked = OnceRun(3, "hot", ["worldnews", "No_such_place"], 4, comments=7)
    async with running(world, source=source, activity=1.0) as run:
        await begin(run)
        world.runs.append(asked)
        await until(lambda: world.is_reported_done(asked), "the results of the run")
        pages = [entry.path for entry in run.requests("/r/") if "/comments" in entry.path]
    assert len(pages) == 2
    assert all("limit=7" in path for path in pages)
    assert world.run_comment_results[3]["no_such_place"].error == "refused"
    result = world.run_comment_results[3]["worldnews"]
    assert (result.published, result.known, result.failed, result.error) == (7, 0, 0, None)
    assert len(set(world.comments.ids)) == len(world.comments.ids) == 7
    assert {envelope.metadata.subreddit.lower() for envelope in world.comments.published} == {"worldnews"}
    assert set(world.states) <= {*NAMES, "worldnews"}
