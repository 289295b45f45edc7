"""What the poller relies on, whoever answers: one suite for the simulator and for Reddit's recorded answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from signalflow.clock import utcnow
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.protocol import RateLimited, SubredditUnavailable, Unavailable
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from tests.contract.conftest import settings_for
from tests.contract.reddit_servers import TOKEN_PATH, Recorded, serve

# Recorded from /r/AskReddit; the simulator knows it too.
NAME = "AskReddit"


@dataclass
class Asked:
    """A request as the server saw it."""

    path: str
    query: dict[str, list[str]]
    user_agent: str


@dataclass
class Reddit:
    """A server of either kind: its address, and what it was asked so far."""

    url: str
    asked: Callable[[], list[Asked]]


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    running = await start(Config(Parameters(history=7_200.0)))  # quick to build; enough for one page
    yield running
    await running.close()


@pytest.fixture(params=["simulator", "recorded"])
async def reddit(request: pytest.FixtureRequest) -> AsyncIterator[Reddit]:
    if request.param == "simulator":
        running = await start(Config())
        yield Reddit(running.url, lambda: asked_of(running))
        await running.close()
    else:
        directory: Path = request.getfixturevalue("shared_data")
        async with serve(Recorded(directory / "recorded")) as server:
            yield Reddit(
                server.url,
                lambda: [
                    Asked(seen.path, {key: [value] for key, value in seen.query.items()}, seen.user_agent)
                    for seen in server.seen
                ],
            )


def asked_of(running: RunningSimulator) -> list[Asked]:
    urls = [(urlsplit(entry.path), entry.user_agent) for entry in running.simulator.entries]
    return [Asked(url.path, parse_qs(url.query), agent) for url, agent in urls]


@pytest.fixture
async def client(reddit: Reddit) -> AsyncIterator[AsyncprawClient]:
    client = AsyncprawClient.of(settings_for(reddit.url))
    yield client
    await client.close()


@pytest.fixture
async def simulated(simulator: RunningSimulator) -> AsyncIterator[AsyncprawClient]:
    client = AsyncprawClient.of(settings_for(simulator.url))
    yield client
    await client.close()


async def test_a_page_holds_valid_posts_newest_first(client: AsyncprawClient) -> None:
    before = utcnow()
    page = await client.listing([NAME])
    assert len(page.posts) == 100
    assert page.rejections == ()
    assert len({post.id for post in page.posts}) == 100
    assert {post.subreddit for post in page.posts} == {NAME}
    created = [post.created_utc for post in page.posts]
    assert created == sorted(created, reverse=True)
    assert page.after == f"t3_{page.posts[-1].id}"
    assert before - timedelta(seconds=3) <= page.observed_at <= utcnow() + timedelta(seconds=3)


async def test_the_limits_of_every_answer_are_known(client: AsyncprawClient) -> None:
    limits = (await client.listing([NAME])).rate_limit
    assert limits is not None
    assert None not in (limits.used, limits.remaining, limits.reset)
    assert 0 <= (limits.reset or 0) <= 600


async def test_the_next_page_goes_on_where_the_first_ended(client: AsyncprawClient) -> None:
    first = await client.listing([NAME], limit=10)
    assert len(first.posts) == 10
    second = await client.listing([NAME], limit=10, after=first.after)
    assert not {post.id for post in first.posts} & {post.id for post in second.posts}


async def test_posts_of_a_listing_are_found_again_by_their_ids(client: AsyncprawClient) -> None:
    listed = {post.id: post for post in (await client.listing([NAME])).posts}
    found = {post.id: post for post in (await client.info(list(listed))).posts}
    assert found.keys() == listed.keys()
    for id_, post in found.items():
        assert (post.title, post.created_utc, post.author) == (
            listed[id_].title,
            listed[id_].created_utc,
            listed[id_].author,
        )


async def test_an_unknown_id_is_missing_and_harms_no_other(client: AsyncprawClient) -> None:
    known = (await client.listing([NAME], limit=1)).posts[0].id
    page = await client.info(["zzzzzzzzzzzz", known])
    assert [post.id for post in page.posts] == [known]


async def test_a_call_is_one_request_and_all_calls_share_one_token(client: AsyncprawClient, reddit: Reddit) -> None:
    await client.listing([NAME, "python"])
    await client.listing([NAME], sort="new", limit=5, after="t3_hozfbb")
    await client.info(["abc", "def"])
    token, *calls = reddit.asked()
    assert token.path == TOKEN_PATH
    assert [call.path for call in calls] == [f"/r/{NAME}+python/new", f"/r/{NAME}/new", "/api/info"]
    assert calls[0].query == {"limit": ["100"], "raw_json": ["1"]}, "never count, which changes what after means"
    assert calls[1].query == {"limit": ["5"], "after": ["t3_hozfbb"], "raw_json": ["1"]}
    assert calls[2].query == {"id": ["t3_abc,t3_def"], "raw_json": ["1"]}


async def test_every_request_names_the_operator(client: AsyncprawClient, reddit: Reddit) -> None:
    await client.listing([NAME])
    assert all(asked.user_agent.startswith("linux:signalflow:") for asked in reddit.asked())


async def test_every_recorded_post_is_valid(shared_data: Path) -> None:
    """29 + 28 posts in the two recorded answers of /api/info: link and text posts, edited, of deleted authors."""
    recorded = Recorded(shared_data / "recorded")
    children = [child["data"] for page in recorded.info for child in page["body"]["data"]["children"]]
    posts = {data["id"]: data for data in children if data["name"].startswith("t3_")}
    async with serve(recorded) as server:
        client = AsyncprawClient.of(settings_for(server.url))
        page = await client.info(list(posts))
        await client.close()
    assert (len(page.posts), page.rejections) == (57, ())
    for post in page.posts:
        raw = posts[post.id]
        assert (post.score, post.num_comments) == (raw["score"], raw["num_comments"])
        is_gone = raw["selftext"] in ("[deleted]", "[removed]") or raw.get("removed_by_category") is not None
        assert (post.removed_by is not None) == is_gone
        assert post.title == ("" if is_gone else raw["title"])
        assert (post.author is None) == (is_gone or raw["author"] == "[deleted]")
        assert (post.edited_at is None) == (raw["edited"] is False)


async def test_the_simulator_drops_all_tokens_and_one_new_one_is_fetched(
    simulator: RunningSimulator, simulated: AsyncprawClient
) -> None:
    await simulated.listing([NAME])
    simulator.simulator.tokens.expire_all()
    await asyncio.gather(*(simulated.listing([NAME], limit=1) for _ in range(10)))
    assert [asked.path for asked in asked_of(simulator)].count(TOKEN_PATH) == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_subreddit", "unknown"),
        ("sim_private", "private"),
        ("sim_quarantined", "quarantined"),
        ("sim_gated", "gated"),
        ("sim_banned", "banned"),
    ],
)
async def test_a_subreddit_that_cannot_be_read_gives_its_reason(
    simulated: AsyncprawClient, name: str, reason: str
) -> None:
    with pytest.raises(SubredditUnavailable) as refused:
        await simulated.listing([name])
    assert refused.value.reason == reason


async def test_the_simulators_empty_window_is_a_429_with_a_wait(
    simulator: RunningSimulator, simulated: AsyncprawClient
) -> None:
    simulator.simulator.limiter.limit = 1
    await simulated.listing([NAME], limit=1)
    with pytest.raises(RateLimited) as limited:
        await simulated.listing([NAME], limit=1)
    assert limited.value.retry_after is not None
    assert 1 <= limited.value.retry_after <= 600


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 500}, Unavailable),
        ({"status": 503}, Unavailable),
        ({"status": 520}, Unavailable),
        ({"html": True}, Unavailable),
        ({"truncate": True}, Unavailable),
        ({"drop": True, "count": 2}, Unavailable),  # aiohttp itself sends once more when a kept connection was dropped
        ({"status": 429}, RateLimited),
        ({"status": 429, "ct": "application/json"}, RateLimited),
        ({"status": 403}, SubredditUnavailable),
        ({"status": 404}, SubredditUnavailable),
    ],
)
async def test_a_fault_of_the_simulator_is_translated_and_passes(
    simulator: RunningSimulator, simulated: AsyncprawClient, fault: dict[str, object], error: type[Exception]
) -> None:
    await simulated.listing([NAME], limit=1)
    simulator.simulator.faults.add({"path": "/r/", **fault})
    with pytest.raises(error):
        await simulated.listing([NAME, "python"], limit=100)
    simulator.simulator.faults.clear()
    assert (await simulated.listing([NAME], limit=1)).posts
