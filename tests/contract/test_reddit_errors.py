"""Whatever Reddit answers, the client makes one request, does not sleep, and raises an error that says what to do."""

import asyncio
import gzip
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from signalflow.domain.budget import RateLimit
from signalflow.errors import Invalid
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.protocol import RateLimited, SubredditUnavailable, Unavailable
from tests.contract.conftest import settings_for
from tests.contract.reddit_servers import EMPTY_LISTING, RedditServer, Script, says, serve

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
USED_UP = {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "185"}
LIMITS = {"x-ratelimit-used": "5", "x-ratelimit-remaining": "995.0", "x-ratelimit-reset": "576"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "text", "reason"),
    [
        (403, {"reason": "private", "message": "Forbidden", "error": 403}, None, None, "private"),
        (403, {"reason": "quarantined", "message": "Forbidden", "error": 403}, None, None, "quarantined"),
        (403, {"reason": "gated", "message": "Forbidden", "error": 403}, None, None, "gated"),
        (403, {"message": "Forbidden", "error": 403}, None, None, "forbidden"),
        (404, {"reason": "banned", "message": "Not Found", "error": 404}, None, None, "banned"),
        (404, {"message": "Not Found", "error": 404}, None, None, "not_found"),
        (302, None, {"Location": "https://www.reddit.com/subreddits/search?q=nosuch"}, None, "unknown"),
        (302, None, {"Location": "/subreddits/search.json?q=nosuch"}, None, "unknown"),
        (414, None, None, "URI too long", "too_long"),
        (451, None, None, "", "legal"),
    ],
)
async def test_a_bad_name_in_a_listing_asks_for_bisection(
    client: AsyncprawClient, script: Script, status: int, body: Any, headers: dict[str, str], text: str, reason: str
) -> None:
    script.api.append(says(status, body, headers, text))
    with pytest.raises(SubredditUnavailable) as refused:
        await client.listing(["python", "nosuch"])
    assert refused.value.reason == reason


@pytest.mark.parametrize("name", ["", "a/b", "../api/info", "a?b", "a b", "a+b", "x" * 41, "é"])
async def test_a_name_that_would_change_the_request_is_never_sent(
    client: AsyncprawClient, server: RedditServer, name: str
) -> None:
    with pytest.raises(SubredditUnavailable):
        await client.listing(["python", name])
    assert server.seen == []


UNAVAILABLE = {
    **{
        f"status {status}": says(status, text="<html>oops</html>")
        for status in (400, 408, 500, 502, 503, 504, 520, 522)
    },
    "a block page of the network's edge": says(403, text="<html>whoa there, pardner</html>"),
    "a 404 of some other web server": says(404, text="<html>not found</html>"),
    "a redirect to the login page": says(302, headers={"Location": "https://www.reddit.com/login/"}),
    "a redirect to no address": says(302, headers={"Location": "http://[::nowhere"}),
    "a block page with a type in capitals": says(403, text="<html>whoa</html>", content_type="TEXT/HTML"),
    "a block in plain text": says(403, text="Blocked by network security", content_type="text/plain"),
    "a 404 without a body": says(404, text="", content_type="application/octet-stream"),
    "no content": says(204),
    "an empty body": says(200, text="", content_type="application/json"),
    "HTML with 200": says(200, text="<html>we are down</html>"),
    "truncated JSON": says(200, text='{"kind": "Listing", "data": {"chi', content_type="application/json"),
    "JSON that is no listing": says(200, {}),
    "null": says(200, text="null", content_type="application/json"),
    "a listing without after": says(200, {"kind": "Listing", "data": {"children": []}}),
    "another kind": says(200, {"kind": "t2", "data": {"after": None, "children": []}}),
    "deeply nested JSON": says(200, text="[" * 100_000, content_type="application/json"),
}


@pytest.mark.parametrize("answer", UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
async def test_an_unusable_answer_is_retryable_costs_one_request_and_may_be_the_fault_of_a_name(
    client: AsyncprawClient, script: Script, server: RedditServer, answer: Any
) -> None:
    script.api.append(answer)
    with pytest.raises(Unavailable) as error:
        await client.listing(["python"])
    assert error.value.reason
    assert len(server.api_calls) == 1
    assert (await client.listing(["python"])).posts == (), "the client must work again after the failure"


UNUSABLE = {
    "an empty body": says(200, text="", content_type="application/json", headers=USED_UP),
    "HTML with 200": says(200, text="<html>we are down</html>", headers=USED_UP),
    "JSON that is no listing": says(200, {}, USED_UP),
    "a 500": says(500, text="<html>oops</html>", headers=USED_UP),
    "a redirect": says(302, headers={"Location": "https://www.reddit.com/login/"} | USED_UP),
    "a private subreddit": says(403, {"reason": "private"}, USED_UP),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_the_limits_of_an_answer_that_cannot_be_used_are_read(
    client: AsyncprawClient, script: Script, answer: Any
) -> None:
    script.api.append(answer)
    with pytest.raises((Unavailable, SubredditUnavailable)) as error:
        await client.listing(["python"])
    assert error.value.rate_limit == RateLimit(None, 0.0, 185.0)


@pytest.mark.parametrize(
    "token",
    [
        says(500),
        says(200, {}),
        says(200, text="<html>down</html>"),
        *(
            says(
                200,
                text=f'{{"access_token": "x", "scope": "*", "expires_in": {life}}}',
                content_type="application/json",
            )
            for life in ("NaN", "Infinity", "1e300", "-1", "9" * 5_000)
        ),
    ],
)
async def test_without_a_token_no_name_is_the_reason(client: AsyncprawClient, script: Script, token: Any) -> None:
    script.token.append(token)
    with pytest.raises(Unavailable) as error:
        await client.listing(["python"])
    assert error.value.reason is None


@pytest.mark.parametrize("status", [403, 404, 302, 414])
async def test_info_blames_no_subreddit(client: AsyncprawClient, script: Script, status: int) -> None:
    script.api.append(says(status, {"reason": "private"}, {"Location": "/subreddits/search?q="}))
    with pytest.raises(Unavailable):
        await client.info(["abc"])


async def test_a_stalled_answer_ends_at_the_timeout_of_the_settings(script: Script, server: RedditServer) -> None:
    release = asyncio.Event()

    async def stall(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.json_response(EMPTY_LISTING)

    script.api.append(stall)
    client = AsyncprawClient.of(settings_for(server.url, timeout=0.2))
    try:
        async with asyncio.timeout(5):  # asyncprawcore's own constant is 16 s
            with pytest.raises(Unavailable, match="Timeout"):
                await client.listing(["python"])
    finally:
        release.set()
        await client.close()


async def test_a_connection_reset_within_the_body_is_retryable(client: AsyncprawClient, script: Script) -> None:
    async def reset(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"kind": ')
        assert request.transport is not None
        request.transport.abort()
        return response

    script.api.append(reset)
    with pytest.raises(Unavailable) as error:
        await client.listing(["python"])
    assert error.value.reason == "unusable_answer"


async def test_a_refused_connection_is_retryable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        client = AsyncprawClient.of(settings_for(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(Unavailable) as error:
            await client.listing(["python"])
        assert error.value.reason is None, "Reddit was not reached: no name is the reason"
        await client.close()


@pytest.mark.parametrize(
    ("headers", "retry_after", "rate_limit"),
    [
        ({"Retry-After": "2"}, 2.0, RateLimit()),
        ({}, None, RateLimit()),
        ({"Retry-After": "soon"}, None, RateLimit()),
        ({"Retry-After": "-5"}, None, RateLimit()),
        ({"Retry-After": "nan"}, None, RateLimit()),
        ({"Retry-After": "inf"}, None, RateLimit()),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -1400"}, None, RateLimit()),
        ({"Retry-After": "7200"}, 7200.0, RateLimit()),
        ({"Retry-After": "1e12"}, 86_400.0, RateLimit()),
        ({"Retry-After": "0.5", **LIMITS}, 0.5, RateLimit(5, 995, 576)),
        ({"x-ratelimit-reset": "many", "x-ratelimit-remaining": "0"}, None, RateLimit(None, 0, None)),
    ],
)
async def test_a_429_says_how_long_to_wait_if_it_says_so_intelligibly(
    client: AsyncprawClient,
    script: Script,
    headers: dict[str, str],
    retry_after: float | None,
    rate_limit: RateLimit,
) -> None:
    script.api.append(says(429, headers=headers, text="<html>Too Many Requests</html>"))
    with pytest.raises(RateLimited) as limited:
        await client.listing(["python"])
    assert limited.value.retry_after == retry_after
    assert limited.value.rate_limit == rate_limit


async def test_a_retry_after_that_is_a_date_is_counted_from_the_answers_own_date(
    client: AsyncprawClient, script: Script
) -> None:
    headers = {
        "Date": format_datetime(NOW, usegmt=True),
        "Retry-After": format_datetime(NOW + timedelta(seconds=30), usegmt=True),
    }
    script.api.append(says(429, headers=headers))
    with pytest.raises(RateLimited) as limited:
        await client.listing(["python"])
    assert limited.value.retry_after == 30


@pytest.mark.parametrize(
    "limits",
    [
        {"x-ratelimit-used": "1000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "600"},
        {"x-ratelimit-used": "599", "x-ratelimit-remaining": "1.0", "x-ratelimit-reset": "599"},
        {"x-ratelimit-used": "x", "x-ratelimit-remaining": "y", "x-ratelimit-reset": "z"},
    ],
)
async def test_the_client_never_waits_by_itself(
    client: AsyncprawClient, script: Script, server: RedditServer, limits: dict[str, str]
) -> None:
    """With these headers asyncprawcore's limiter sleeps for 10 or 600 s before the next call, or raises ValueError."""
    script.api += [says(200, EMPTY_LISTING, limits)] * 2
    async with asyncio.timeout(5):
        await client.listing(["python"])
        page = await client.listing(["python"])
    assert len(server.api_calls) == 2
    assert page.rate_limit is not None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (LIMITS, RateLimit(5, 995, 576)),
        ({}, RateLimit()),
        ({"x-ratelimit-remaining": "995"}, RateLimit(None, 995, None)),
        (
            {"x-ratelimit-used": "", "x-ratelimit-remaining": "-1", "x-ratelimit-reset": "inf"},
            RateLimit(None, None, None),
        ),
    ],
)
async def test_rate_limit_headers_are_read_and_nonsense_is_unknown(
    client: AsyncprawClient, script: Script, headers: dict[str, str], expected: RateLimit
) -> None:
    script.api.append(says(200, EMPTY_LISTING, headers))
    assert (await client.listing(["python"])).rate_limit == expected


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (None, NOW),
        ("yesterday", NOW),
        (format_datetime(NOW + timedelta(seconds=2), usegmt=True), NOW),
        (format_datetime(NOW - timedelta(seconds=2), usegmt=True), NOW),
        (format_datetime(NOW + timedelta(seconds=3), usegmt=True), NOW + timedelta(seconds=3)),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), NOW - timedelta(hours=1)),
        ("Fri, 31 Dec 9999 23:59:59 -1400", NOW),
    ],
)
async def test_a_wrong_local_clock_is_replaced_by_the_answers_date(
    script: Script, date: str | None, expected: datetime
) -> None:
    if date is None:

        async def no_date(request: web.Request) -> web.StreamResponse:
            body = json.dumps(EMPTY_LISTING).encode()
            assert request.transport is not None
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n"
            )
            request.transport.write(head.encode() + body)  # type: ignore[attr-defined]
            request.transport.close()
            return web.Response()

        script.api.append(no_date)
    else:
        script.api.append(says(200, EMPTY_LISTING, {"Date": date}))
    async with serve(script) as server:
        client = AsyncprawClient.of(settings_for(server.url), clock=lambda: NOW)
        assert (await client.listing(["python"])).observed_at == expected
        await client.close()


def post(**changes: Any) -> dict[str, Any]:
    data = {
        "id": "abc", "subreddit": "python", "author": "someone", "title": "secret title",
        "created_utc": NOW.timestamp(), "score": 1, "num_comments": 0, "over_18": False, "is_self": True,
    }  # fmt: skip
    return {"kind": "t3", "data": data | changes}


async def test_one_malformed_item_is_left_out_and_the_rest_goes_on(client: AsyncprawClient, script: Script) -> None:
    children = [
        post(id="a1"),
        post(id="a2", score=None),
        None,
        {"kind": "t1", "data": {"id": "c"}},
        {"kind": "t3"},
        post(id="a4", promoted=True),
        post(id="a3", promoted=False, upvote_ratio=1.01, edited=None),
    ]
    body = {"kind": "Listing", "data": {"after": "t3_a3", "children": children}}
    script.api.append(says(200, body))
    page = await client.listing(["python"])
    assert [found.id for found in page.posts] == ["a1", "a3"]
    assert [rejection.reason for rejection in page.rejections] == ["score", "kind", "kind", "kind", "promoted"]
    assert page.after == "t3_a3"
    assert "secret title" not in repr(page.rejections)


async def test_a_post_from_the_future_is_rejected(client: AsyncprawClient, script: Script) -> None:
    headers = {"Date": format_datetime(NOW, usegmt=True)}
    children = [post(id="a1"), post(id="a2", created_utc=NOW.timestamp() + 60)]
    script.api.append(says(200, {"kind": "Listing", "data": {"after": None, "children": children}}, headers))
    page = await client.listing(["python"])
    assert [found.id for found in page.posts] == ["a1"]
    assert [rejection.reason for rejection in page.rejections] == ["created_utc"]


async def test_a_compressed_answer_is_understood(client: AsyncprawClient, script: Script) -> None:
    async def compressed(request: web.Request) -> web.StreamResponse:
        assert "gzip" in request.headers["Accept-Encoding"]
        body = gzip.compress(json.dumps({"kind": "Listing", "data": {"after": None, "children": [post()]}}).encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="application/json")

    script.api.append(compressed)
    assert len((await client.listing(["python"])).posts) == 1


@pytest.mark.parametrize("ids", [[], [f"a{n}" for n in range(101)]])
async def test_a_batch_that_reddit_would_ignore_is_never_sent(
    client: AsyncprawClient, server: RedditServer, ids: list[str]
) -> None:
    with pytest.raises(Invalid):
        await client.info(ids)
    assert server.seen == []
