"""Paging, combined names and the other endpoints, as Reddit was recorded or describes them (sections A2, A3 and F3)."""

import pytest

from signalflow.simulator.config import Config, Parameters
from tests.contract.simulator_api import EPOCH, names, simulated

BUSY = Config(
    parameters=Parameters(epoch=EPOCH, history=7_200.0, activity=60.0, life=0.0, stories_per_hour=0.0), speed=0.0
)


@pytest.mark.parametrize(
    ("limit", "size"),
    [("", 25), ("limit=7", 7), ("limit=100", 100), ("limit=250", 100), ("limit=0", 1), ("limit=x", 25)],
)
async def test_limit_is_25_unless_given_and_clamped_to_100(limit: str, size: int) -> None:
    async with simulated() as client:
        page = await client.listing(f"/r/all/new?{limit}")
    assert len(page["children"]) == page["dist"] == size
    assert page["after"] == names(page)[-1]
    assert page["before"] is None


async def test_pages_follow_each_other_to_the_cap_of_1000_without_a_gap_or_an_overlap() -> None:
    async with simulated(BUSY) as client:
        world, now = client.running.world, client.running.clock.now()
        truth = [f"t3_{p.id}" for p in world.new_posts_between(world.begin, now) if p.subreddit.name == "worldnews"]
        assert len(truth) > 1_100
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await client.listing(f"/r/worldnews/new?limit=100&after={after}")
            seen += names(page)
            after = page["after"]
        beyond = await client.listing(f"/r/worldnews/new?after={truth[-1_050]}")
    assert seen == truth[:-1_001:-1]
    assert beyond["children"] == []


async def test_a_combined_listing_has_a_thousand_posts_of_each_member_in_one_order() -> None:
    async with simulated(BUSY) as client:
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await client.listing(f"/r/worldnews+news/new?limit=100&after={after}")
            seen += names(page)
            after = page["after"]
    assert len(seen) == 2_000
    assert seen == sorted(seen, reverse=True)


async def test_before_gives_the_page_nearest_to_the_anchor_newest_first() -> None:
    async with simulated() as client:
        newest = names(await client.listing("/r/all/new?limit=100"))
        page = await client.listing(f"/r/all/new?limit=7&before={newest[50]}")
        counted = await client.listing(f"/r/all/new?limit=7&count=25&before={newest[50]}")
    assert names(page) == names(counted) == newest[43:50]
    assert (page["after"], page["before"]) == (None, None)
    assert counted["after"] == newest[49]


async def test_a_dead_anchor_gives_an_empty_page_for_ever() -> None:
    async with simulated() as client:
        anchor = names(await client.listing("/r/all/new"))[10]
        await client.ctl(delete=anchor)
        for query in (f"before={anchor}", f"after={anchor}", "before=t3_nothere", "after=t3_nothere", "after=rubbish"):
            page = await client.listing(f"/r/all/new?{query}")
            assert (page["children"], page["after"], page["before"]) == ([], None, None)


async def test_new_posts_appear_on_top_as_time_goes_by() -> None:
    async with simulated() as client:
        before = names(await client.listing("/r/all/new?limit=100"))
        client.running.clock.jump(120)
        page = await client.listing(f"/r/all/new?limit=100&before={before[0]}")
        world = client.running.world
        born = [p for p in world.new_posts_between(EPOCH, EPOCH + 120) if p.visible_at(EPOCH + 120)]
    assert names(page) == [f"t3_{post.id}" for post in reversed(born)]
    assert born


async def test_a_post_put_back_reappears_below_newer_ones() -> None:
    async with simulated() as client:
        old = (await client.ctl(add="python"))["added"][0]
        await client.ctl(jump=60.0)
        await client.ctl(remove=f"t3_{old}")
        await client.ctl(add="python")
        await client.ctl(jump=60.0)
        hidden = names(await client.listing("/r/python/new"))
        await client.ctl(restore=f"t3_{old}")
        shown = names(await client.listing("/r/python/new"))
    assert f"t3_{old}" not in hidden
    assert shown.index(f"t3_{old}") > 0


@pytest.mark.parametrize(
    ("names_in_path", "status", "reason"),
    [
        ("sim_private", 403, "private"),
        ("sim_quarantined", 403, "quarantined"),
        ("sim_gated", 403, "gated"),
        ("sim_banned", 404, "banned"),
        ("sim_banned+nowhere", 404, None),
        ("sim_private+nowhere", 403, "private"),
    ],
)
async def test_an_unreadable_subreddit_says_why(names_in_path: str, status: int, reason: str | None) -> None:
    async with simulated() as client:
        got, _, body = await client.get(f"/r/{names_in_path}/new")
    assert (got, body.get("reason"), body["error"]) == (status, reason, status)


async def test_an_unknown_subreddit_redirects_to_the_search() -> None:
    async with simulated() as client:
        status, headers, _ = await client.get("/r/nowhere/new")
    assert (status, headers["Location"]) == (302, "/subreddits/search?q=nowhere")


async def test_bad_members_of_a_combined_listing_are_left_out() -> None:
    async with simulated() as client:
        whole = await client.listing("/r/worldnews+news/new?limit=100")
        mixed = await client.listing("/r/worldnews+sim_banned+sim_private+nowhere+news/new/?limit=100")
        alone = await client.listing("/r/worldnews+nowhere/new?limit=100")
        single = await client.listing("/r/WorldNews/new?limit=100")
    assert names(mixed) == names(whole)
    assert names(alone) == names(single)


async def test_a_strict_simulator_refuses_a_combined_listing_for_one_private_member() -> None:
    async with simulated() as client:
        await client.ctl(bad_member="error")
        status, _, body = await client.get("/r/worldnews+sim_private/new")
        await client.ctl(access={"sim_private": "public"})
        again, _, _ = await client.get("/r/worldnews+sim_private/new")
    assert (status, body["reason"]) == (403, "private")
    assert again == 200


@pytest.mark.parametrize(("members", "status"), [(468, 200), (936, 414)])
async def test_a_url_of_936_names_is_too_long(members: int, status: int) -> None:
    path = "+".join(f"programming{n:03}"[:11] + str(n % 1000).zfill(3) for n in range(members - 1))
    async with simulated() as client:
        got, _, _ = await client.get(f"/r/python+{path}/new")
    assert got == status


async def test_info_takes_a_hundred_mixed_names_in_no_order_and_ignores_unknown_ones() -> None:
    async with simulated() as client:
        posts = names(await client.listing("/r/all/new?limit=60"))
        comments = names(await client.listing("/r/all/comments?limit=30"))
        subs = names(await client.listing("/subreddits/popular?limit=9"))
        asked = [*posts, *comments, *subs, "t3_zzzzzz0"]
        found = names(await client.listing(f"/api/info?id={','.join(asked)}"))
        many = await client.listing(f"/api/info?id={','.join([*asked, 't3_1000001'])}")
        upper = await client.listing(f"/api/info?id={posts[0].upper()}")
        by_name = await client.listing("/api/info?sr_name=python,worldnews,nowhere")
    assert sorted(found) == sorted(asked[:-1])
    assert found != asked[:-1]
    assert many["children"] == upper["children"] == []
    assert [child["data"]["display_name"] for child in by_name["children"]] == ["Python", "worldnews"]


async def test_info_of_posts_older_than_what_is_remembered() -> None:
    async with simulated(Config(parameters=Parameters(epoch=EPOCH), speed=0.0, limits_clock="real")) as client:
        old = names(await client.listing("/r/all/new?limit=100"))
        before = (await client.listing(f"/api/info?id={old[3]}"))["children"][0]["data"]
        await client.ctl(jump=4 * 86_400.0)
        await client.listing("/r/all/new")
        await client.ctl(jump=3_700.0)
        page = names(await client.listing("/r/all/new"))
        after = (await client.listing(f"/api/info?id={old[3]}"))["children"][0]["data"]
    assert old[3] not in page
    assert (after["title"], after["created_utc"]) == (before["title"], before["created_utc"])
    assert after["num_comments"] >= before["num_comments"]


async def test_newest_comments_are_in_order_and_belong_to_posts() -> None:
    async with simulated() as client:
        page = await client.listing("/r/all/comments?limit=100")
        first = page["children"][0]["data"]
        posts = await client.listing(f"/api/info?id={first['link_id']}")
        rest = await client.listing(f"/r/all/comments?limit=100&after={page['after']}")
    times = [child["data"]["created_utc"] for child in page["children"] + rest["children"]]
    assert times == sorted(times, reverse=True)
    assert posts["children"][0]["data"]["num_comments"] > 0


async def test_the_comments_of_a_post_are_as_many_as_it_says() -> None:
    async with simulated() as client:
        added = (await client.ctl(add="python", rise=500, tau=60, talk=150))["added"][0]
        client.running.clock.jump(300)
        _, _, (post, tree) = await client.get(f"/comments/{added}?limit=2048&sort=confidence")
        status, _, _ = await client.get("/comments/zzzzzz")

    def count(listing: dict) -> int:  # type: ignore[type-arg]
        return sum(
            1 + (count(child["data"]["replies"]) if child["data"]["replies"] else 0)
            for child in listing["data"]["children"]
            if child["kind"] == "t1"
        )

    assert post["data"]["children"][0]["data"]["num_comments"] == count(tree) > 100
    assert status == 404


@pytest.mark.parametrize("sort", ["hot", "top", "rising", "controversial"])
async def test_other_orders_page_through_distinct_visible_posts(sort: str) -> None:
    async with simulated() as client:
        first = await client.listing(f"/r/all/{sort}?limit=20&t=day")
        second = await client.listing(f"/r/all/{sort}?limit=20&t=day&after={first['after']}")
    assert len(set(names(first)) | set(names(second))) == 40
    if sort == "top":
        scores = [child["data"]["score"] for child in first["children"]]
        assert scores[0] > 5 * scores[-1]


async def test_search_without_words_is_a_bare_object_and_trending_is_dead() -> None:
    async with simulated() as client:
        assert (await client.get("/subreddits/search"))[2] == {}
        found = await client.listing("/subreddits/search/?q=python")
        status, _, _ = await client.get("/api/trending_subreddits")
    assert [child["data"]["display_name"] for child in found["children"]] == ["Python"]
    assert status == 400
