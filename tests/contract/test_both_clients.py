"""What callers rely on with every client of Reddit: the API's and the feeds', on the same simulated posts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from signalflow.errors import Invalid
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.feeds.client import FeedClient
from signalflow.reddit.protocol import RateLimited, RedditClient, SubredditUnavailable, Unavailable
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.server import RunningSimulator, start
from tests.contract.conftest import settings_for
from tests.contract.simulator_api import EPOCH

CONTACT = "operator@example.org"
NAMES = ["AskReddit", "worldnews"]


@dataclass
class Source:
    """A client, and the simulator behind it."""

    client: RedditClient
    simulator: RunningSimulator

    def newest(self, names: list[str]) -> list[Post]:
        """What is true: the visible posts of these subreddits, newest first."""
        world, now = self.simulator.world, self.simulator.clock.now()
        return list(world.newest([name.lower() for name in names], now))


@pytest.fixture(params=["api", "feeds", "feeds that name their next page"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Source]:
    running = await start(
        Config(
            parameters=Parameters(epoch=EPOCH, history=7_200.0, activity=4.0),
            speed=0.0,
            feed_limit=1_000,
            next_links=request.param != "feeds",
        )
    )
    client: RedditClient = (
        AsyncprawClient.of(settings_for(running.url))
        if request.param == "api"
        else FeedClient(CONTACT, base_url=running.url, timeout=5.0)
    )
    yield Source(client, running)
    await client.close()
    await running.close()


async def test_a_combined_listing_has_the_newest_posts_of_its_subreddits(source: Source) -> None:
    page = await source.client.listing(NAMES, limit=100)
    true = source.newest(NAMES)[:100]
    assert [post.id for post in page.posts] == [post.id for post in true]
    assert page.rejections == ()
    assert {post.subreddit for post in page.posts} == set(NAMES)


async def test_texts_and_times_are_the_true_ones(source: Source) -> None:
    page = await source.client.listing(NAMES, limit=100)
    simulator = source.simulator.simulator
    bodies = 0
    for post, true in zip(page.posts, source.newest(NAMES), strict=False):
        text = simulator.texts.of(true)
        state = state_of(true, source.simulator.clock.now(), 0.0)
        assert post.title.removesuffix(" [updated]") == text.title
        assert post.author == text.author
        assert post.created_utc.timestamp() == int(true.created)
        assert post.is_self == (true.kind == "self")
        assert (post.url == f"https://www.reddit.com{post.permalink}") == post.is_self
        assert f"/comments/{post.id}/" in (post.permalink or "")
        if state.edited_at is None:
            assert post.body == ((text.body or None) if post.is_self else None)
            bodies += post.body is not None
    assert bodies > 10


async def test_numbers_are_true_or_null_as_the_capabilities_say(source: Source) -> None:
    for post in (await source.client.listing(NAMES)).posts:
        numbers = (post.score, post.num_comments, post.upvote_ratio, post.over_18)
        if source.client.capabilities.tells_numbers:
            assert None not in numbers
        else:
            assert (*numbers, post.flair, post.edited_at) == (None,) * 6


async def test_pages_lead_from_the_newest_post_to_the_oldest(source: Source) -> None:
    found: list[str] = []
    after: str | None = None
    for _ in range(20):
        page = await source.client.listing(NAMES, limit=50, after=after)
        found += [post.id for post in page.posts]
        after = page.after
        if after is None:
            break
    assert found == [post.id for post in source.newest(NAMES)]
    assert 50 < len(found) < 1_000


@pytest.mark.parametrize("sort", ["new", "hot", "rising", "top"])
async def test_every_listing_of_the_capabilities_answers(source: Source, sort: str) -> None:
    assert sort in source.client.capabilities.listings
    page = await source.client.listing(["all"], sort=sort, limit=source.client.capabilities.page_size)
    assert len(page.posts) == 100


async def test_a_page_tells_the_limit_and_the_moment_by_reddits_clock(source: Source) -> None:
    page = await source.client.listing(["news"])
    limit = page.rate_limit
    assert None not in (limit.used, limit.remaining, limit.reset)
    assert (limit.used or 0) >= 1
    assert page.observed_at.timestamp() == EPOCH


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_subreddit", "unknown"),
        ("sim_private", "private"),
        ("sim_quarantined", "quarantined"),
        ("sim_gated", "gated"),
        ("sim_banned", "banned"),
        ("a/b", "unknown"),
        ("a?b", "unknown"),
    ],
)
async def test_a_subreddit_that_cannot_be_read_gives_its_reason(source: Source, name: str, reason: str) -> None:
    with pytest.raises(SubredditUnavailable) as refused:
        await source.client.listing([name])
    assert refused.value.reason == reason


async def test_names_that_make_the_address_too_long_are_refused_as_such(source: Source) -> None:
    with pytest.raises(SubredditUnavailable) as refused:
        await source.client.listing([f"programming{n:05}" for n in range(900)])
    assert refused.value.reason == "too_long"


async def test_without_a_name_nothing_is_asked(source: Source) -> None:
    asked = source.simulator.simulator.requests
    with pytest.raises(Invalid):
        await source.client.listing([])
    assert source.simulator.simulator.requests == asked


async def test_a_429_names_its_wait(source: Source) -> None:
    await source.client.listing(["news"], limit=1)
    simulator = source.simulator.simulator
    simulator.limiter.limit = simulator.feed_limits.by_address.limit = 1
    with pytest.raises(RateLimited) as limited:
        await source.client.listing(["news"], limit=1)
    assert 1 <= max(limited.value.retry_after or 0, limited.value.rate_limit.reset or 0) <= 600


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500}, "status_500"),
        ({"status": 503}, "status_503"),
        ({"status": 520}, "status_520"),
        ({"truncate": True}, "unusable_answer"),
        ({"body": "", "ct": "text/plain"}, "unusable_answer"),
        ({"drop": True, "count": 2}, "no_answer"),  # the API's client sends once more when a kept connection breaks
    ],
)
async def test_a_fault_is_told_as_such_and_passes(source: Source, fault: dict[str, object], reason: str) -> None:
    await source.client.listing(NAMES, limit=1)
    source.simulator.simulator.faults.add({"path": "/r/", **fault})
    with pytest.raises(Unavailable) as unavailable:
        await source.client.listing(NAMES)
    assert unavailable.value.reason == reason
    source.simulator.simulator.faults.clear()
    assert (await source.client.listing(NAMES, limit=1)).posts


async def test_posts_are_found_by_id_only_where_the_capabilities_say_so(source: Source) -> None:
    id_ = (await source.client.listing(NAMES, limit=1)).posts[0].id
    if source.client.capabilities.answers_ids:
        assert [post.id for post in (await source.client.info([id_])).posts] == [id_]
        return
    with pytest.raises(Invalid):
        await source.client.info([id_])
