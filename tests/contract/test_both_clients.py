"""What callers rely on with every client of Reddit: the API's and the feeds', on the same simulated posts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from httpx import AsyncClient

from signalflow.errors import Invalid
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.feeds.client import FeedClient
from signalflow.reddit.protocol import RateLimited, RedditClient, SubredditUnavailable, Unavailable
from signalflow.simulator.comments import Comment, newest_comments, parent_name
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.server import RunningSimulator, start
from signalflow.simulator.trees import depth_of
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

    def newest_comments(self, names: list[str]) -> list[Comment]:
        """What is true: the comments of the visible posts of these subreddits, newest first."""
        return list(newest_comments(self.newest(names), self.simulator.clock.now()))


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


def asking(source: Source, what: str) -> Callable[..., Awaitable[Any]]:
    """The client's method that reads a listing of posts or of comments."""
    method: Callable[..., Awaitable[Any]] = getattr(source.client, what)
    return method


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


async def test_top_shows_the_posts_of_its_period_in_the_order_of_their_scores(source: Source) -> None:
    now = source.simulator.clock.now()
    for period, seconds in (("hour", 3600.0), ("day", 86_400.0)):
        page = await source.client.listing(NAMES, sort="top", period=period, limit=20)
        posts = [post for post in source.newest(NAMES) if now - post.created < seconds]
        true = sorted(posts, key=lambda post: -post.score_at(now))[:20]
        assert [post.id for post in page.posts] == [post.id for post in true]


async def test_popular_subreddits_are_listed_by_size_or_refused_as_the_capabilities_say(source: Source) -> None:
    if not source.client.capabilities.lists_subreddits:
        with pytest.raises(Invalid, match="subreddits"):
            await source.client.popular_subreddits()
        return
    page = await source.client.popular_subreddits(limit=30)
    public = [sub for sub in source.simulator.world.subreddits.values() if sub.access == "public"]
    true = sorted(public, key=lambda sub: (-sub.subscribers, sub.key))[:30]
    assert [found.name for found in page.subreddits] == [sub.name for sub in true]
    assert not any(found.over_18 for found in page.subreddits)
    assert (page.rejections, page.observed_at.timestamp()) == ((), EPOCH)
    assert page.rate_limit.used is not None


async def test_a_page_tells_the_limit_and_the_moment_by_reddits_clock(source: Source) -> None:
    page = await source.client.listing(["news"])
    limit = page.rate_limit
    assert None not in (limit.used, limit.remaining, limit.reset)
    assert (limit.used or 0) >= 1
    assert page.observed_at.timestamp() == EPOCH


async def test_the_newest_comments_of_several_subreddits_are_read_as_they_are(source: Source) -> None:
    page = await source.client.comments(NAMES, limit=100)
    true = source.newest_comments(NAMES)[:100]
    assert page.rejections == ()
    assert page.observed_at.timestamp() == EPOCH
    assert [found.comment.id for found in page.comments] == [comment.id for comment in true]
    assert {found.subreddit for found in page.comments} == set(NAMES)
    deleted = 0
    for found, comment in zip(page.comments, true, strict=True):
        read = found.comment
        assert (read.post_id, read.created_utc.timestamp()) == (comment.post.id, int(comment.created))
        assert read.permalink == f"/r/{found.subreddit}/comments/{comment.post.id}/_/{comment.id}/"
        if comment.deleted_at is not None and comment.deleted_at <= EPOCH:
            deleted += 1
            assert (read.author, read.body, read.removed_by) == (None, None, "deleted")
        else:
            assert (read.author, read.body, read.removed_by) == (comment.author, comment.body, None)
    assert deleted < 20


async def test_what_a_source_does_not_tell_of_a_comment_is_null(source: Source) -> None:
    page = await source.client.comments(NAMES, limit=100)
    for found, true in zip(page.comments, source.newest_comments(NAMES), strict=False):
        read = found.comment
        numbers = (read.score, read.controversiality, read.is_submitter, read.stickied, read.parent_id)
        if source.client.capabilities.tells_numbers:
            assert numbers == (true.score_at(EPOCH), 0, False, False, parent_name(true))
        else:
            assert numbers == (None,) * 5
        assert (read.depth, read.edited_at, read.distinguished) == (None, None, None)


async def test_pages_of_comments_lead_from_the_newest_on_without_a_hole(source: Source) -> None:
    first = await source.client.comments(NAMES, limit=40)
    second = await source.client.comments(NAMES, limit=40, after=first.after)
    found = [each.comment.id for each in first.comments + second.comments]
    assert found == [comment.id for comment in source.newest_comments(NAMES)[:80]]


async def discussed(source: Source) -> tuple[Post, list[Comment]]:
    """A post with a discussion, and what is true: all its comments."""
    control = {"add": "python", "rise": 500, "tau": 60, "talk": 150}
    async with AsyncClient() as http:
        (id_,) = (await http.post(f"{source.simulator.url}/__ctl", json=control)).json()["added"]
    source.simulator.clock.jump(400)
    (post,) = (post for post in source.newest(["python"]) if post.id == id_)
    return post, list(newest_comments([post], source.simulator.clock.now()))


async def test_the_tree_of_a_post_has_its_comments_with_their_depth_and_names_those_that_it_leaves_out(
    source: Source,
) -> None:
    post, true = await discussed(source)
    page = await source.client.post_comments(post.id, limit=50)
    assert page.rejections == ()
    assert page.after is None
    found = {each.comment.id: each for each in page.comments}
    by_id = {comment.id: comment for comment in true}
    assert set(found) <= set(by_id)
    assert {each.subreddit for each in page.comments} == {post.subreddit.name}
    for id_, each in found.items():
        read = each.comment
        assert (read.post_id, read.created_utc.timestamp()) == (post.id, int(by_id[id_].created))
        if source.client.capabilities.tells_numbers:
            assert (read.parent_id, read.depth) == (parent_name(by_id[id_]), depth_of(post, by_id[id_].place))
        else:
            assert (read.parent_id, read.depth) == (None, None)
    if not source.client.capabilities.tells_numbers:
        assert page.more is None
        assert [each.comment.id for each in page.comments] == [comment.id for comment in true[:50]]
        return
    named = [id_ for more in page.more for id_ in more.ids]
    assert len(set(found)) + len(set(named)) == len(true) > 100
    assert set(found) | set(named) == set(by_id)
    assert sum(more.count for more in page.more) == len(named)
    rest = await source.client.comments_by_id(named[:100])
    assert {each.comment.id for each in rest.comments} == set(named[:100])


@pytest.mark.parametrize("id_", ["zzzzzz", "../x", "A"])
async def test_the_tree_of_a_post_that_does_not_exist_is_refused(source: Source, id_: str) -> None:
    with pytest.raises(SubredditUnavailable) as refused:
        await source.client.post_comments(id_)
    assert refused.value.reason == "not_found"


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
@pytest.mark.parametrize("ask", ["listing", "comments"])
async def test_a_subreddit_that_cannot_be_read_gives_its_reason(
    source: Source, name: str, reason: str, ask: str
) -> None:
    with pytest.raises(SubredditUnavailable) as refused:
        await asking(source, ask)([name])
    assert refused.value.reason == reason


async def test_names_that_make_the_address_too_long_are_refused_as_such(source: Source) -> None:
    with pytest.raises(SubredditUnavailable) as refused:
        await source.client.listing([f"programming{n:05}" for n in range(900)])
    assert refused.value.reason == "too_long"


@pytest.mark.parametrize("ask", ["listing", "comments"])
async def test_without_a_name_nothing_is_asked(source: Source, ask: str) -> None:
    asked = source.simulator.simulator.requests
    with pytest.raises(Invalid):
        await asking(source, ask)([])
    assert source.simulator.simulator.requests == asked


async def test_a_429_names_its_wait(source: Source) -> None:
    await source.client.listing(["news"], limit=1)
    simulator = source.simulator.simulator
    simulator.limiter.limit = simulator.feed_limits.by_address.limit = 1
    with pytest.raises(RateLimited) as limited:
        await source.client.listing(["news"], limit=1)
    assert 1 <= max(limited.value.retry_after or 0, limited.value.rate_limit.reset or 0) <= 600


async def test_comments_count_for_the_limit_of_posts(source: Source) -> None:
    first = (await source.client.listing(["news"], limit=1)).rate_limit
    second = (await source.client.comments(["news"], limit=1)).rate_limit
    assert (second.used or 0) == (first.used or 0) + 1


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
@pytest.mark.parametrize("ask", ["listing", "comments"])
async def test_a_fault_is_told_as_such_and_passes(
    source: Source, fault: dict[str, object], reason: str, ask: str
) -> None:
    await source.client.listing(NAMES, limit=1)
    source.simulator.simulator.faults.add({"path": "/r/", **fault})
    with pytest.raises(Unavailable) as unavailable:
        await asking(source, ask)(NAMES)
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
