"""FeedClient alone: its limits, the ways in which Reddit blocks an address, and a secret that nothing tells."""

import logging
import traceback
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from signalflow.errors import Invalid
from signalflow.reddit.feeds import client as feed_client
from signalflow.reddit.feeds.blocks import BLOCKED_AFTER
from signalflow.reddit.feeds.client import FeedClient
from signalflow.reddit.protocol import Blocked, RateLimited, SubredditUnavailable, Unavailable
from signalflow.reddit_settings import PersonalFeed
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from tests.contract.reddit_servers import Handler, says, serve
from tests.contract.simulator_api import EPOCH

CONTACT = "operator@example.org"
SECRET = "5ecre70fadasfeed"
PERSONAL = PersonalFeed.of(SecretStr(f"https://www.reddit.com/.rss?feed={SECRET}&user=ada"))


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    parameters = Parameters(epoch=EPOCH, history=3_600.0)
    running = await start(Config(parameters=parameters, speed=0.0, personal_feeds={"ada": SECRET}))
    yield running
    await running.close()


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[FeedClient]:
    """Its clock is the simulator's."""
    client = FeedClient(
        CONTACT, base_url=simulator.url, clock=lambda: datetime.fromtimestamp(simulator.clock.now(), UTC)
    )
    yield client
    await client.close()


async def test_a_request_names_program_and_contact_and_asks_for_one_feed(
    simulator: RunningSimulator, client: FeedClient
) -> None:
    await client.listing(["news", "worldnews"], sort="hot", limit=7, after="t3_abc")
    (asked,) = simulator.simulator.entries
    assert asked.path == "/r/news+worldnews/hot/.rss?limit=7&after=t3_abc"
    assert asked.user_agent == "linux:signalflow:0.1.0 (by operator@example.org)"


@pytest.mark.parametrize("contact", ["", "  ", "a", "x\r\nCookie: y", "ä@example.org", "x" * 300])
def test_without_a_usable_contact_there_is_no_client(contact: str) -> None:
    with pytest.raises(Invalid) as refused:
        FeedClient(contact)
    assert refused.value.field == "contact"


async def test_an_unknown_listing_is_not_asked_for(simulator: RunningSimulator, client: FeedClient) -> None:
    with pytest.raises(Invalid, match="controversial"):
        await client.listing(["news"], sort="controversial")
    assert simulator.simulator.requests == 0


async def test_an_address_reads_one_feed_a_minute_by_what_the_headers_say(
    simulator: RunningSimulator, client: FeedClient
) -> None:
    """An hour of a caller that waits as told: a request a minute, and never a 429."""
    begun = simulator.clock.now()
    answered = 0
    while simulator.clock.now() < begun + 3_600:
        limit = (await client.listing(["news"], limit=1)).rate_limit
        answered += 1
        assert (limit.used, limit.remaining) == (1, 0)
        assert limit.reset is not None
        simulator.clock.jump(limit.reset + 1)
    assert 58 <= answered <= 61


async def test_who_comes_too_early_is_told_when_to_come_and_not_that_the_address_is_blocked(
    simulator: RunningSimulator, client: FeedClient
) -> None:
    await client.listing(["news"], limit=1)
    for _ in range(3 * BLOCKED_AFTER):
        with pytest.raises(RateLimited) as limited:
            await client.listing(["news"], limit=1)
        assert limited.value.retry_after is None
        assert 0 < (limited.value.rate_limit.reset or 0) <= 60


async def test_a_personal_feed_reads_ten_a_minute(simulator: RunningSimulator) -> None:
    client = FeedClient(CONTACT, base_url=simulator.url, personal=PERSONAL)
    remaining = [(await client.listing(["news"], limit=1)).rate_limit.remaining for _ in range(10)]
    with pytest.raises(RateLimited):
        await client.listing(["news"], limit=1)
    await client.close()
    assert remaining == list(range(9, -1, -1))


@pytest.mark.parametrize("block", ["forbidden", "page"])
async def test_a_blocked_address_is_told_as_one_state_and_ends_with_the_first_feed(
    simulator: RunningSimulator, client: FeedClient, block: str
) -> None:
    simulator.simulator.faults.add({"path": "/r/", "block": block, "count": 2})
    for _ in range(2):
        with pytest.raises(Blocked, match="Reddit blocks this address") as blocked:
            await client.listing(["news"])
        assert (blocked.value.block, blocked.value.reason) == (block, None), "no name is the reason"
    assert (await client.listing(["news"])).posts


async def test_429s_after_each_kept_wait_are_a_block_until_the_first_feed(
    simulator: RunningSimulator, client: FeedClient
) -> None:
    simulator.simulator.faults.add({"path": "/r/", "block": "limit", "count": -1})
    told = []
    for _ in range(BLOCKED_AFTER + 1):
        with pytest.raises((RateLimited, Blocked)) as refused:
            await client.listing(["news"])
        assert isinstance(refused.value, RateLimited | Blocked)
        told.append(type(refused.value))
        assert refused.value.rate_limit.reset is not None
        simulator.clock.jump(61)
    assert told == [RateLimited] * (BLOCKED_AFTER - 1) + [Blocked] * 2
    simulator.simulator.faults.clear()
    await client.listing(["news"])
    with pytest.raises(RateLimited):
        await client.listing(["news"])


@pytest.mark.parametrize(
    ("answer", "block"),
    [
        (says(200, text="<!DOCTYPE html><html>whoa there</html>", content_type="application/atom+xml"), "page"),
        (says(200, text="\n<html>blocked by network security</html>", content_type="text/plain"), "page"),
        (says(403, text="<html></html>"), "forbidden"),
    ],
)
async def test_a_page_is_a_block_whatever_type_it_claims(answer: Handler, block: str) -> None:
    async with serve(answer) as server:
        client = FeedClient(CONTACT, base_url=server.url)
        with pytest.raises(Blocked) as blocked:
            await client.listing(["news", "python"])
        await client.close()
    assert blocked.value.block == block


async def test_a_403_for_a_subreddit_is_no_block() -> None:
    async with serve(says(403, body={"reason": "private", "message": "Forbidden", "error": 403})) as server:
        client = FeedClient(CONTACT, base_url=server.url)
        with pytest.raises(SubredditUnavailable):
            await client.listing(["news", "python"])
        await client.close()


async def test_a_feed_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_client, "MAX_FEED_BYTES", 1_000)
    async with serve(says(200, text="x" * 200_000, content_type="application/atom+xml")) as server:
        client = FeedClient(CONTACT, base_url=server.url)
        with pytest.raises(Unavailable, match="more than 1000 bytes") as unavailable:
            await client.listing(["news"])
        await client.close()
    assert unavailable.value.reason == "unusable_answer"


async def test_a_redirect_is_not_followed() -> None:
    async with serve(says(301, headers={"Location": "/elsewhere"})) as server:
        client = FeedClient(CONTACT, base_url=server.url, personal=PERSONAL)
        with pytest.raises(Unavailable) as unavailable:
            await client.listing(["news"])
        await client.close()
    assert unavailable.value.reason == "status_301"
    assert len(server.seen) == 1


async def test_a_request_whose_connection_breaks_is_not_sent_again(
    simulator: RunningSimulator, client: FeedClient
) -> None:
    """Reddit would count both, and one a minute is all there is."""
    simulator.simulator.faults.add({"path": "/r/", "drop": True})
    with pytest.raises(Unavailable) as unavailable:
        await client.listing(["news"])
    assert unavailable.value.reason == "no_answer"
    assert simulator.simulator.requests == 1


async def test_a_reddit_that_is_not_there_is_no_fault_of_a_name(simulator: RunningSimulator) -> None:
    await simulator.close()
    client = FeedClient(CONTACT, base_url=simulator.url)
    with pytest.raises(Unavailable) as unavailable:
        await client.listing(["news"])
    await client.close()
    assert unavailable.value.reason is None


@pytest.mark.parametrize(
    "address",
    [
        f"https://www.reddit.com/r/python/new/.rss?limit=9&feed={SECRET}&user=ada",
        f"?feed={SECRET}&user=ada",
        f" feed={SECRET}&user=ada\n",
    ],
)
def test_a_personal_feed_is_read_from_any_of_its_addresses(address: str) -> None:
    assert PersonalFeed.of(SecretStr(address)).params() == {"feed": SECRET, "user": "ada"}


@pytest.mark.parametrize("address", ["", SECRET, f"feed={SECRET}", f"feed={SECRET}!&user=ada", f"http://[{SECRET}"])
def test_what_is_no_personal_feed_is_refused_without_a_word_of_it(address: str) -> None:
    with pytest.raises(Invalid) as refused:
        PersonalFeed.of(SecretStr(address))
    assert SECRET not in "".join(traceback.format_exception(refused.value))


FAILURES: dict[str, Callable[[RunningSimulator], object]] = {
    "429": lambda running: [running.simulator.feed_limits.personal.take("ada", EPOCH) for _ in range(10)],
    "500": lambda running: running.simulator.faults.add({"path": "/r/", "status": 500}),
    "blocked": lambda running: running.simulator.faults.add({"path": "/r/", "block": "page"}),
    "dropped": lambda running: running.simulator.faults.add({"path": "/r/", "drop": True}),
    "cut": lambda running: running.simulator.faults.add({"path": "/r/", "truncate": True}),
    "wrongly packed": lambda running: running.simulator.faults.add(
        {"path": "/r/", "body": "x", "headers": {"Content-Encoding": "gzip"}}
    ),
    "rejected": lambda running: None,
    "too late": lambda running: running.simulator.faults.add({"path": "/r/", "delay": 1.0}),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_the_secret_is_in_no_error_no_log_and_no_page(
    simulator: RunningSimulator, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = FeedClient(CONTACT, base_url=simulator.url, personal=PERSONAL, timeout=0.5)
    FAILURES[failure](simulator)
    with structlog.testing.capture_logs() as logs:
        try:
            told = repr(await client.listing(["news"]))
            assert failure == "rejected"
        except (Unavailable, RateLimited) as error:
            told = "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
            assert failure != "rejected"
    await client.close()
    # The simulator notes a request when it has answered it.
    assert failure == "too late" or any(SECRET in entry.path for entry in simulator.simulator.entries)
    assert SECRET not in told
    assert SECRET not in caplog.text + repr(logs) + repr(client.__dict__) + repr(PERSONAL)


async def test_the_secret_is_not_in_the_error_for_an_answer_that_is_no_http() -> None:
    """aiohttp's error for such an answer holds the whole address."""

    async def garbage(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/9 what?\r\n\r\n")
        request.transport.close()
        return web.Response()

    async with serve(garbage) as server:
        client = FeedClient(CONTACT, base_url=server.url, personal=PERSONAL)
        with pytest.raises(Unavailable) as unavailable:
            await client.listing(["news"])
        await client.close()
        assert server.seen[0].query["feed"] == SECRET
    error = unavailable.value
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
