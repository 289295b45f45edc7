"""The simulator's things against recorded ones of Reddit: no key missing, no other type."""

import gzip
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from signalflow.simulator.config import Config, Parameters
from tests.contract.simulator_api import EPOCH, Client, names, simulated

Types = dict[str, set[str]]
# Only moderators of a subreddit see these; an application-only reader never does.
FOR_MODERATORS = {"approved", "ignore_reports", "removed", "spam"}
# Only some recorded things have these: on the author's birthday, with flair templates, in answers to /comments, or from
# features that no longer exist.
OCCASIONAL = {
    "t3": {"author_cakeday", "link_flair_template_id", "num_duplicates"},
    "t1": {"depth"},
    "t5": {"coins", "collections_enabled", "content_category", "event_posts_enabled"},
}
# No recorded post was removed; the reference (section A4) names the values of those that are.
KNOWN: Types = defaultdict(set, {"removed_by_category": {"str"}})


def things_of(listing: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for child in listing["data"]["children"]:
        found[child["kind"]].append(child["data"])
    return found


def types_of(things: list[dict[str, Any]]) -> Types:
    found: Types = defaultdict(set)
    for thing in things:
        for key, value in thing.items():
            found[key].add(type(value).__name__)
    return found


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> dict[str, list[dict[str, Any]]]:
    """All recorded things by kind."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((shared_data / "recorded").glob("*.json.gz")):
        body = json.loads(gzip.decompress(path.read_bytes()))["body"]
        body = json.loads(body) if isinstance(body, str) else body
        for listing in body if isinstance(body, list) else [body]:
            if listing.get("kind") == "Listing":
                for kind, things in things_of(listing).items():
                    found[kind].extend(things)
    return found


async def simulated_things(client: Client) -> dict[str, list[dict[str, Any]]]:
    """Posts in every state, comments and subreddits of a simulator."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    at = client.running.clock.now()
    world = client.running.world
    posts = world.new_posts_between(at - 86_400, at)[::30]
    paths = ["/r/all/new?limit=100", "/subreddits/popular?limit=100"]
    ids = [f"t3_{post.id}" for post in posts]
    paths += [f"/api/info?id={','.join(ids[n : n + 100])}" for n in range(0, len(ids), 100)]
    paths += ["/r/all/comments?limit=100"]
    for path in paths:
        _, _, body = await client.get(path)
        for kind, things in things_of(body).items():
            found[kind].extend(things)
    return found


@pytest.mark.parametrize("kind", ["t3", "t1", "t5"])
async def test_things_have_every_recorded_field_with_a_recorded_type(
    kind: str, recorded: dict[str, list[dict[str, Any]]]
) -> None:
    theirs = types_of(recorded[kind])
    async with simulated() as client:
        things = (await simulated_things(client))[kind]
    ours = types_of(things)
    assert set(theirs) - set(ours) - FOR_MODERATORS - OCCASIONAL[kind] == set()
    assert {key: types for key, types in ours.items() if key in theirs and not types <= theirs[key] | KNOWN[key]} == {}


async def test_fields_that_every_recorded_post_has_are_in_every_simulated_one(
    recorded: dict[str, list[dict[str, Any]]],
) -> None:
    always = set.intersection(*(set(post) for post in recorded["t3"]))
    assert len(always) > 90
    async with simulated() as client:
        for post in (await simulated_things(client))["t3"]:
            assert always - set(post) == set(), post["name"]


async def test_a_listing_has_the_recorded_envelope_and_headers(shared_data: Path) -> None:
    answer = json.loads(gzip.decompress((shared_data / "recorded" / "subreddit_new.json.gz").read_bytes()))
    theirs = json.loads(answer["body"]) if isinstance(answer["body"], str) else answer["body"]
    async with simulated(Config(parameters=Parameters(epoch=EPOCH), speed=0.0)) as client:
        _, headers, ours = await client.get("/r/askreddit/new?limit=100&raw_json=1")
    assert set(theirs["data"]) <= set(ours["data"])
    assert {key: type(theirs["data"][key]) for key in ("after", "before", "dist")} == {
        key: type(ours["data"][key]) for key in ("after", "before", "dist")
    }
    for name in answer["headers"]:
        assert name in headers
    assert headers["content-type"].lower() == answer["headers"]["content-type"].lower()


async def test_the_token_answer_has_the_recorded_fields(shared_data: Path) -> None:
    answer = json.loads(gzip.decompress((shared_data / "recorded" / "token.json.gz").read_bytes()))
    theirs = json.loads(answer["body"]) if isinstance(answer["body"], str) else answer["body"]
    async with simulated() as client:
        status, ours = await client.token()
    assert status == 200
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in theirs.items()}


async def test_a_post_weighs_what_real_ones_weigh() -> None:
    """Reddit's mean is 5.1 kB a post (535,712 bytes for a recorded page of 100)."""
    async with simulated() as client:
        sizes = []
        after = ""
        for _ in range(10):
            page = await client.listing(f"/r/all/new?limit=100&after={after}")
            sizes += [len(json.dumps(child, separators=(",", ":"))) for child in page["children"]]
            after = names(page)[-1]
    assert len(sizes) == 1_000
    assert 4_600 <= statistics.mean(sizes) <= 5_600


async def test_long_answers_are_gzipped_for_those_who_accept_it() -> None:
    async with simulated() as client, ClientSession(auto_decompress=False, headers=client.session.headers) as raw:
        url = f"{client.running.url}/r/all/new?limit=100"
        async with raw.get(url, headers={"Accept-Encoding": "gzip"}) as response:
            packed = await response.read()
            assert response.headers["Content-Encoding"] == "gzip"
        async with raw.get(url, headers={"Accept-Encoding": "identity"}) as response:
            plain = await response.read()
            assert "Content-Encoding" not in response.headers
    assert json.loads(gzip.decompress(packed)) == json.loads(plain)
    assert len(packed) < len(plain) / 2


@pytest.mark.parametrize(
    ("command", "author", "text"),
    [("delete", "[deleted]", "[deleted]"), ("remove", None, "[removed]")],
)
async def test_a_gone_post_is_masked_in_info_and_absent_from_listings(
    command: str, author: str | None, text: str
) -> None:
    async with simulated() as client:
        added = (await client.ctl(add="python"))["added"][0]
        client.running.clock.jump(1)
        assert names(await client.listing("/r/python/new"))[0] == f"t3_{added}"
        await client.ctl(**{command: f"t3_{added}"})
        assert f"t3_{added}" not in names(await client.listing("/r/python/new"))
        post = (await client.listing(f"/api/info?id=t3_{added}"))["children"][0]["data"]
        assert post["selftext"] == text
        assert post["removed_by_category"] == ("deleted" if command == "delete" else "moderator")
        assert ("author_fullname" in post) == (author is None)
        assert author is None or post["author"] == author
        await client.ctl(restore=f"t3_{added}")
        assert names(await client.listing("/r/python/new"))[0] == f"t3_{added}"


async def test_an_edit_shows_as_a_time_and_as_another_text() -> None:
    async with simulated() as client:
        added = (await client.ctl(add="python"))["added"][0]
        client.running.clock.jump(60)
        before = (await client.listing(f"/api/info?id=t3_{added}"))["children"][0]["data"]
        await client.ctl(edit=f"t3_{added}")
        after = (await client.listing(f"/api/info?id=t3_{added}"))["children"][0]["data"]
    assert before["edited"] is False
    assert after["edited"] == float(int(client.running.clock.now()))
    assert after["selftext"] != before["selftext"]
