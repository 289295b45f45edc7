"""asyncpraw 8 works with the simulator unchanged."""

from collections.abc import AsyncIterator

import asyncpraw
import pytest

from signalflow.simulator.config import Config, Parameters
from tests.contract.simulator_api import AGENT, EPOCH, Client, simulated


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    config = Config(parameters=Parameters(epoch=EPOCH, history=43_200.0, growth=12.0), speed=0.0)
    async with simulated(config) as client:
        yield client


@pytest.fixture
async def reddit(client: Client) -> AsyncIterator[asyncpraw.Reddit]:
    url = client.running.url
    reddit = asyncpraw.Reddit(
        client_id="simulator",
        client_secret="simulator",
        user_agent=AGENT,
        reddit_url=url,
        oauth_url=url,
        check_for_updates=False,
    )
    yield reddit
    await reddit.close()


async def test_new_pages_on_without_repeats(client: Client, reddit: asyncpraw.Reddit) -> None:
    posts = [post async for post in (await reddit.subreddit("worldnews+news")).new(limit=250)]
    truth = client.running.world.newest(["worldnews", "news"], EPOCH)
    assert [post.id for post in posts] == [post.id for _, post in zip(range(250), truth, strict=False)]
    assert {type(post.score) for post in posts} == {int}
    requests = [entry.path for entry in client.running.simulator.entries if "/new" in entry.path]
    assert len(requests) == 3
    assert all("raw_json=1" in path for path in requests)


async def test_before_gives_what_came_since(client: Client, reddit: asyncpraw.Reddit) -> None:
    subreddit = await reddit.subreddit("all")
    first = await anext(aiter(subreddit.new(limit=1)))
    client.running.clock.jump(120)
    since = [post async for post in subreddit.new(limit=100, params={"before": first.fullname})]
    world = client.running.world
    assert {post.id for post in since} == {
        post.id for post in world.new_posts_between(EPOCH, EPOCH + 120) if post.visible_at(EPOCH + 120)
    }


async def test_info_finds_posts_comments_and_subreddits_in_chunks(client: Client, reddit: asyncpraw.Reddit) -> None:
    subreddit = await reddit.subreddit("all")
    names = [post.fullname async for post in subreddit.new(limit=145)]
    names += [comment.fullname async for comment in subreddit.comments(limit=5)]
    names += [sub.fullname async for sub in reddit.subreddits.popular(limit=1)]
    found = [thing.fullname async for thing in reddit.info(fullnames=names)]
    assert sorted(found) == sorted(names)
    chunks = [entry for entry in client.running.simulator.entries if entry.path.startswith("/api/info")]
    assert len(chunks) == 2


async def test_a_submission_has_its_comments_and_more(client: Client, reddit: asyncpraw.Reddit) -> None:
    biggest = max(client.running.world.newest(["worldnews", "askreddit"], EPOCH), key=lambda p: p.comments_at(EPOCH))
    post = await reddit.submission(biggest.id)
    assert post.num_comments == biggest.comments_at(EPOCH) > 500
    shown = len(post.comments.list())
    await post.comments.replace_more(limit=2)
    assert len(post.comments.list()) > shown


async def test_a_subreddit_can_be_loaded_and_searched_for(reddit: asyncpraw.Reddit) -> None:
    subreddit = await reddit.subreddit("python", fetch=True)
    assert (subreddit.display_name, subreddit.subscribers > 0) == ("Python", True)
    assert [sub.display_name async for sub in reddit.subreddits.search("golang")] == ["golang"]
    hot = [post async for post in subreddit.hot(limit=5)]
    assert len(hot) == 5


async def test_an_expired_token_is_replaced_behind_the_scenes(client: Client, reddit: asyncpraw.Reddit) -> None:
    subreddit = await reddit.subreddit("python")
    assert [post async for post in subreddit.new(limit=1)]
    await client.ctl(expire_tokens=True)
    assert [post async for post in subreddit.new(limit=1)]
    statuses = [entry.status for entry in client.running.simulator.entries if entry.path.startswith("/r/python")]
    assert statuses == [200, 401, 200]
