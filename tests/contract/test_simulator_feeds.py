"""The simulator's Atom feeds: the same posts as the API's listings, in Reddit's shapes, with the limits of feeds."""

import re
from datetime import datetime
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from signalflow.simulator.config import Config, Parameters
from tests.contract.simulator_api import EPOCH, Client, names, simulated

ATOM = "{http://www.w3.org/2005/Atom}"
MEDIA = "{http://search.yahoo.com/mrss/}"
LIMIT_HEADERS = ("x-ratelimit-used", "x-ratelimit-remaining", "x-ratelimit-reset")


def config(**options: Any) -> Config:
    """A world whose clock stands still, with a limit that no test of shapes meets."""
    parameters = Parameters(epoch=EPOCH, history=7_200.0, activity=4.0)
    return Config(parameters=parameters, speed=0.0, **({"feed_limit": 1_000} | options))


async def feed_of(client: Client, path: str) -> Element:
    status, headers, body = await client.get(path)
    assert (status, headers["Content-Type"]) == (200, "application/atom+xml; charset=UTF-8"), body
    return fromstring(body)


def ids(feed: Element) -> list[str]:
    return [entry.findtext(f"{ATOM}id", "") for entry in feed.iter(f"{ATOM}entry")]


def content_of(entry: Element) -> str:
    return entry.findtext(f"{ATOM}content", "")


@pytest.mark.parametrize(
    ("feed", "listing"),
    [
        ("/r/worldnews+news/new/.rss?limit=100", "/r/worldnews+news/new?limit=100"),
        ("/r/news/new.rss", "/r/news/new"),
        ("/r/worldnews/.rss?limit=3", "/r/worldnews/hot?limit=3"),
        ("/r/popular/rising/.rss?limit=50", "/r/popular/rising?limit=50"),
        ("/r/news+worldnews/top/.rss?t=hour&limit=9", "/r/news+worldnews/top?t=hour&limit=9"),
        ("/r/news+python/comments/.rss?limit=100", "/r/news+python/comments?limit=100"),
        ("/.rss", "/hot"),
    ],
)
async def test_a_feed_has_the_things_of_the_listing_in_its_order(feed: str, listing: str) -> None:
    async with simulated(config()) as client:
        expected = names(await client.listing(listing))
        assert ids(await feed_of(client, feed)) == expected
    assert expected


async def test_pages_follow_each_other_by_the_id_of_the_last_entry() -> None:
    async with simulated(config()) as client:
        expected = names(await client.listing("/r/all/new?limit=100"))
        seen: list[str] = []
        while len(seen) < 100:
            seen += ids(await feed_of(client, f"/r/all/new/.rss?limit=25&after={seen[-1] if seen else ''}"))
        gone = await feed_of(client, "/r/all/new/.rss?after=t3_nothere")
    assert seen == expected
    assert ids(gone) == []


async def test_a_feed_names_its_next_page_only_where_it_is_told_to() -> None:
    async with simulated(config()) as client:
        without = await feed_of(client, "/r/all/new/.rss?limit=5")
    async with simulated(config(next_links=True)) as client:
        first = await feed_of(client, "/r/all/new/.rss?limit=5")
        following = link(first, "next").removeprefix("https://www.reddit.com")
        second = await feed_of(client, following)
        ten = names(await client.listing("/r/all/new?limit=10"))
    assert [each.get("rel") for each in without.findall(f"{ATOM}link")] == ["self"]
    assert ids(first) + ids(second) == ten


def link(feed: Element, relation: str) -> str:
    return next(each.attrib["href"] for each in feed.findall(f"{ATOM}link") if each.get("rel") == relation)


async def test_an_entry_tells_what_the_api_tells_of_a_post_but_no_numbers() -> None:
    async with simulated(config()) as client:
        listed = {child["data"]["name"]: child["data"] for child in (await listing_of(client))["children"]}
        entries = list((await feed_of(client, "/r/all/new/.rss?limit=100")).iter(f"{ATOM}entry"))
    kinds = set()
    for entry in entries:
        post = listed[entry.findtext(f"{ATOM}id", "")]
        permalink = f"https://www.reddit.com{post['permalink']}"
        content = content_of(entry)
        assert entry.findtext(f"{ATOM}title") == post["title"]
        assert entry.findtext(f"{ATOM}author/{ATOM}name") == f"/u/{post['author']}"
        assert entry.find(f"{ATOM}category").attrib == {  # type: ignore[union-attr]
            "term": post["subreddit"],
            "label": f"r/{post['subreddit']}",
        }
        assert entry.find(f"{ATOM}link").attrib == {"href": permalink}  # type: ignore[union-attr]
        assert unescape(re.findall(r'<a href="([^"]*)">\[link\]</a>', content)[-1]) == post["url"]
        assert content.count(f'<a href="{permalink}">[comments]</a>') == 1
        assert f'to &#32; <a href="https://www.reddit.com/r/{post["subreddit"]}/">' in content
        assert ("SC_OFF" in content) == bool(post["selftext"])
        is_picture = post.get("post_hint") == "image" or bool(post.get("is_gallery"))
        assert content.startswith("<table>") == content.endswith("</table>") == is_picture
        assert (entry.find(f"{MEDIA}thumbnail") is not None) == (not post["is_self"])
        kinds.add((post["is_self"], is_picture))
        assert {child.tag.partition("}")[2] for child in entry} <= {
            *("author", "category", "content", "id", "thumbnail", "link", "updated", "published", "title")
        }
    assert kinds == {(True, False), (False, True), (False, False)}


async def listing_of(client: Client) -> Any:
    return await client.listing("/r/all/new?limit=100")


async def test_times_are_those_of_creation_and_few_posts_have_only_one() -> None:
    async with simulated(config()) as client:
        listed = {child["data"]["name"]: child["data"] for child in (await listing_of(client))["children"]}
        posts = list((await feed_of(client, "/r/all/new/.rss?limit=100")).iter(f"{ATOM}entry"))
        comments = list((await feed_of(client, "/r/all/comments/.rss?limit=100")).iter(f"{ATOM}entry"))
    published = [entry.findtext(f"{ATOM}published") for entry in posts]
    for entry, time in zip(posts, published, strict=True):
        updated = entry.findtext(f"{ATOM}updated", "")
        assert updated.endswith("+00:00")
        assert datetime.fromisoformat(updated).timestamp() == listed[entry.findtext(f"{ATOM}id", "")]["created_utc"]
        assert time in (updated, None)
    assert 0 < published.count(None) < 10
    assert all(entry.find(f"{ATOM}published") is None for entry in comments)


async def test_the_feed_of_a_post_has_the_post_and_then_its_comments() -> None:
    async with simulated(config()) as client:
        added = (await client.ctl(add="python", rise=500, tau=60, talk=150, title="A <b> & a 'quote'\x0b"))["added"][0]
        client.running.clock.jump(300)
        oldest = await feed_of(client, f"/comments/{added}/.rss?limit=5")
        newest = await feed_of(client, f"/r/python/comments/{added}/a_title/.rss?sort=new&limit=100")
        unknown, _, _ = await client.get("/comments/zzzzzz/.rss")
        page = await client.listing("/r/python/comments?limit=100")
    assert ids(oldest)[0] == ids(newest)[0] == f"t3_{added}"
    assert len(ids(oldest)) == 6
    newest_comments = [name for name in names(page) if name.startswith(f"t1_{added}")]
    assert len(newest_comments) > 10
    assert ids(newest)[1 : len(newest_comments) + 1] == newest_comments
    comment = oldest.findall(f"{ATOM}entry")[1]
    author = comment.findtext(f"{ATOM}author/{ATOM}name")
    assert comment.findtext(f"{ATOM}title") == f"{author} on A <b> & a 'quote'"
    path = f"/r/Python/comments/{added}/a_b_a_quote/"
    told = [child["data"] for child in page["children"] if child["data"]["name"] in newest_comments]
    assert [data["permalink"] for data in told] == [f"{path}{data['id']}/" for data in told]
    assert comment.find(f"{ATOM}link").attrib["href"].startswith(f"https://www.reddit.com{path}")  # type: ignore[union-attr]
    assert content_of(comment).startswith('<!-- SC_OFF --><div class="md"><p>')
    assert unknown == 404


async def test_a_deleted_account_has_no_author_element() -> None:
    async with simulated(config()) as client:
        added = (await client.ctl(add="python"))["added"][0]
        await client.ctl(delete=added)
        entry = next((await feed_of(client, f"/comments/{added}/.rss")).iter(f"{ATOM}entry"))
    assert entry.find(f"{ATOM}author") is None
    assert "submitted by &#32; [deleted] <br/>" in content_of(entry)


async def test_an_entry_that_was_shown_changes_with_its_post() -> None:
    async with simulated(config()) as client:
        added = (await client.ctl(add="python"))["added"][0]
        path = "/r/python/new/.rss?limit=1"
        before = next((await feed_of(client, path)).iter(f"{ATOM}entry"))
        await client.ctl(delete=added)
        after = next((await feed_of(client, f"/comments/{added}/.rss")).iter(f"{ATOM}entry"))
    assert before.findtext(f"{ATOM}id") == after.findtext(f"{ATOM}id") == f"t3_{added}"
    assert before.findtext(f"{ATOM}author/{ATOM}name", "").startswith("/u/")
    assert after.find(f"{ATOM}author") is None


@pytest.mark.parametrize(
    ("path", "status"),
    [("/r/sim_private/new/.rss", 403), ("/r/sim_banned/new/.rss", 404), ("/r/nowhere/new/.rss", 302), ("/x/.rss", 404)],
)
async def test_an_unreadable_subreddit_is_refused_as_by_the_api(path: str, status: int) -> None:
    async with simulated(config()) as client:
        assert (await client.get(path))[0] == status


async def test_an_address_has_one_request_a_minute_and_headers_that_say_so() -> None:
    """The limit of June 2026: used 1, remaining 0.0, a reset below a minute, and a 429 without Retry-After."""
    async with simulated(config(feed_limit=1)) as client:
        path = "/r/python/new/.rss"
        answers = [await client.get(path), await client.get("/r/news/hot/.rss")]
        wait = int(answers[0][1]["x-ratelimit-reset"])
        client.running.clock.jump(wait + 1)
        later, _, _ = await client.get(path, Authorization="")
        api, _, _ = await client.get("/r/python/new")
    assert [status for status, _, _ in answers] == [200, 429]
    assert later == api == 200, "the API has a limit of its own"
    assert 0 < wait <= 60
    for (_, headers, _), used in zip(answers, ("1", "2"), strict=True):
        assert [headers[name] for name in LIMIT_HEADERS] == [used, "0.0", str(wait)]
        assert "Retry-After" not in headers


async def test_the_secret_of_a_personal_feed_lifts_the_limit_for_its_user() -> None:
    async with simulated(config(feed_limit=1, personal_feeds={"ada": "5ecre7"}, personal_feed_limit=3)) as client:
        good, wrong = "/r/python/new/.rss?feed=5ecre7&user=ada", "/r/python/new/.rss?feed=guess&user=ada"
        statuses = [(await client.get(good))[0] for _ in range(4)]
        plain = [(await client.get(wrong))[0] for _ in range(2)]
        await client.ctl(personal_feed_limit=9, feed_limit=5)
        raised = [(await client.get(path))[0] for path in (good, wrong)]
    assert statuses == [200, 200, 200, 429]
    assert plain == [200, 429]
    assert raised == [200, 200]


@pytest.mark.parametrize("agent", ["python-httpx/0.28", "Python/3.11 aiohttp/3.14", "feedparser/6.0", ""])
async def test_a_librarys_own_name_gets_no_feed(agent: str) -> None:
    async with simulated(config()) as client:
        status, headers, _ = await client.get("/r/python/new/.rss", **{"User-Agent": agent})
    assert status == 429
    assert not {name.lower() for name in headers} & {*LIMIT_HEADERS, "retry-after"}


@pytest.mark.parametrize(
    ("block", "status", "page"), [("forbidden", 403, True), ("page", 200, True), ("limit", 429, False)]
)
async def test_a_blocked_address_gets_no_feed_until_the_block_ends(block: str, status: int, page: bool) -> None:
    async with simulated(config()) as client:
        await client.ctl(path="/r/", contains=".rss", block=block, count=-1)
        answers = [await client.get("/r/python/new/.rss") for _ in range(3)]
        api, _, _ = await client.get("/r/python/new")
        await client.ctl(clear=True)
        after, _, _ = await client.get("/r/python/new/.rss")
    assert [answer[0] for answer in answers] == [status] * 3
    assert api == after == 200
    assert answers[0][1]["Content-Type"] == "text/html; charset=UTF-8"
    assert ("whoa there, pardner" in answers[0][2]) == page
    assert (LIMIT_HEADERS[0] in answers[0][1]) == (not page)


async def test_a_misspelt_block_is_refused() -> None:
    async with (
        simulated(config()) as client,
        client.session.post(f"{client.running.url}/__ctl", json={"path": "/r/", "block": "forbiden"}) as response,
    ):
        assert response.status == 400
