"""The control interface: what tests of the pipeline rely on."""

from pathlib import Path

import pytest

from signalflow.errors import Fatal
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import start
from signalflow.simulator.world import World
from tests.contract.simulator_api import EPOCH, names, simulated


def kept_in(directory: Path, seed: int = 7) -> Config:
    return Config(parameters=Parameters(seed=seed, epoch=EPOCH, history=7_200.0), data_dir=directory, speed=0.0)


async def test_the_truth_is_filtered_by_time_subreddit_id_and_field() -> None:
    async with simulated() as client:
        _, _, all_of_it = await client.get("/__truth")
        _, _, part = await client.get(
            f"/__truth?created_after={EPOCH - 600}&created_before={EPOCH - 300}&fields=id,created"
        )
        one = all_of_it["posts"][5]
        _, _, single = await client.get(f"/__truth?ids=t3_{one['id']}")
        _, _, subs = await client.get("/__truth?subreddit=worldnews,NEWS&visible=1")
        status, _, _ = await client.get("/__truth?since=yesterday")
    assert single["posts"] == [one]
    expected = [p["id"] for p in all_of_it["posts"] if EPOCH - 600 <= p["created"] < EPOCH - 300]
    assert [p["id"] for p in part["posts"]] == expected
    assert {key for post in part["posts"] for key in post} == {"id", "created"}
    assert {post["subreddit"] for post in subs["posts"]} == {"worldnews", "news"}
    assert all(post["visible"] for post in subs["posts"])
    assert status == 400


async def test_the_truth_agrees_with_what_the_api_shows_without_fuzz() -> None:
    config = Config(parameters=Parameters(epoch=EPOCH, history=7_200.0, fuzz=0.0, growth=12.0), speed=0.0)
    async with simulated(config) as client:
        page = await client.listing("/r/all/new?limit=100")
        _, _, truth = await client.get("/__truth?since=0")
    posts = {post["id"]: post for post in truth["posts"]}
    assert truth["fuzz"] == 0
    shown = [child["data"] for child in page["children"]]
    for post in shown:
        true = posts[post["id"]]
        assert (post["score"], post["num_comments"]) == (true["score"], true["num_comments"])
        assert (post["title"].removesuffix(" [updated]"), post["created_utc"]) == (true["title"], true["created_utc"])
    oldest = min(post["created_utc"] for post in shown)
    visible = {post["id"] for post in truth["posts"] if post["visible_now"] and post["created_utc"] > oldest}
    assert visible <= {post["id"] for post in shown}


async def test_the_truth_of_an_earlier_moment_tells_nothing_later() -> None:
    async with simulated() as client:
        added = (await client.ctl(add="python"))["added"][0]
        await client.ctl(jump=100.0)
        await client.ctl(delete=added)
        await client.ctl(jump=100.0)
        _, _, then = await client.get(f"/__truth?ids={added}&at={EPOCH + 50}")
        _, _, now = await client.get(f"/__truth?ids={added}")
    assert (then["posts"][0]["life"], then["posts"][0]["visible_now"]) == ([], True)
    assert then["posts"][0]["visible"][0][1] is None
    assert now["posts"][0]["life"] == [{"at": EPOCH + 100, "kind": "deleted"}]
    assert now["posts"][0]["visible"][0][1] == EPOCH + 100


async def test_the_truth_tells_all_comments_of_a_time_and_a_subreddit() -> None:
    async with simulated(
        Config(parameters=Parameters(epoch=EPOCH, history=7_200.0, activity=4.0), speed=0.0)
    ) as client:
        since = EPOCH - 300
        _, _, truth = await client.get(f"/__truth?since={since}&subreddit=news,worldnews&comments=1&fields=id")
        _, _, without = await client.get(f"/__truth?since={since}")
        page = await client.listing("/r/news+worldnews/comments?limit=100")
        shown = {child["data"]["id"]: child["data"] for child in page["children"]}
        oldest = min(data["created_utc"] for data in shown.values())
        # A comment under an older post counts too, and its place in the discussion is told.
        posts = {post["id"] for post in truth["posts"]}
    assert "comments" not in without
    comments = {comment["id"]: comment for comment in truth["comments"]}
    assert len(comments) == len(truth["comments"]) > 20
    assert all(since <= comment["created"] < EPOCH + 1e-3 for comment in comments.values())
    assert {comment["subreddit"] for comment in comments.values()} == {"news", "worldnews"}
    assert any(comment["post_id"] not in posts for comment in comments.values())
    visible = {id_ for id_, comment in comments.items() if comment["visible_now"]}
    since_both = max(oldest + 1, since + 1)
    assert {id_ for id_ in visible if comments[id_]["created_utc"] >= since_both} == {
        id_ for id_, data in shown.items() if data["created_utc"] >= since_both
    }
    for id_ in visible & shown.keys():
        data, true = shown[id_], comments[id_]
        assert (data["score"], data["parent_id"]) == (true["score"], true["parent_id"])
        assert data["link_id"] == f"t3_{true['post_id']}"
        assert true["parent_id"].startswith("t3_") == (true["depth"] == 0)


async def test_stories_are_in_the_truth_with_their_posts() -> None:
    config = Config(parameters=Parameters(epoch=EPOCH, growth=12.0), speed=0.0)
    async with simulated(config) as client:
        _, _, truth = await client.get("/__truth")
    posts = {post["id"]: post for post in truth["posts"]}
    stories = {story["id"]: story for story in truth["stories"]}
    kinds = {story["kind"] for story in stories.values()}
    assert kinds == {"viral", "everywhere", "burst"}
    for post in posts.values():
        assert post["story"] is None or post["id"] in stories[post["story"]]["posts"]
    everywhere = [story for story in stories.values() if story["kind"] == "everywhere"]
    assert max(len(story["subreddits"]) for story in everywhere) >= 4
    bursts = [story for story in stories.values() if story["kind"] == "burst" and story["start"] < EPOCH - 600]
    assert all(len(story["subreddits"]) == 1 and len(story["posts"]) >= 15 for story in bursts)
    assert truth["bursts"]


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_planted_post_takes_off_within_two_minutes_at_twelve_times_the_growth(seed: int) -> None:
    """More than 50 points a second and more than 100 comments: what the trending rule looks for."""
    world = World(Parameters(seed=seed, epoch=EPOCH, history=1_200.0, growth=12.0, fuzz=0.0))
    posts = [post for post in world.new_posts_between(world.begin, EPOCH + 120) if post.story]
    fast = [
        post
        for post in posts
        if any(
            post.score_at(t + 5) - post.score_at(t) > 5 * 50 and post.comments_at(t) > 100
            for t in range(int(EPOCH), int(EPOCH) + 120, 5)
        )
    ]
    assert fast


async def test_the_log_tells_every_request_but_its_own() -> None:
    async with simulated() as client:
        client.running.clock.jump(5)
        await client.get("/r/python/new/?limit=3")
        await client.ctl(path="/r/", status=503)
        await client.get("/r/python/new")
        _, _, log = await client.get("/__log?path=/r/")
        _, _, none = await client.get(f"/__log?since={log['requests'][-1]['real'] + 1}")
        await client.ctl(clear_log=True)
        _, _, cleared = await client.get("/__log")
    assert [(entry["path"], entry["status"]) for entry in log["requests"]] == [
        ("/r/python/new/?limit=3", 200),
        ("/r/python/new", 503),
    ]
    assert log["requests"][0]["sim"] == EPOCH + 5
    assert "signalflow-tests" in log["requests"][0]["user_agent"]
    assert log["requests"][0]["client"] == "simulator"
    assert none["requests"] == cleared["requests"] == []


@pytest.mark.parametrize(
    ("member", "hit", "spared"),
    [
        ("python", "/r/funny+Python/new", "/r/pythontips+funny/new"),
        ("t3_abc", "/api/info?id=t3_x,t3_abc", "/api/info?id=t3_abcd"),
        ("t3_abc", "/api/info?id=t3_abc%2Ct3_x", "/r/t3/new?after=t3_abc"),
    ],
)
async def test_a_fault_with_a_member_hits_the_requests_that_name_it(member: str, hit: str, spared: str) -> None:
    async with simulated() as client:
        await client.ctl(path="/", member=member, count=-1, status=502)
        statuses = [(await client.get(path))[0] for path in (hit, spared, hit)]
    assert statuses[0] == statuses[2] == 502
    assert statuses[1] != 502


async def test_added_posts_are_the_newest_in_the_order_of_their_ids() -> None:
    async with simulated() as client:
        added = (await client.ctl(add="python", k=50, title="A planted title", rise=1000, tau=10, talk=20))["added"]
        await client.ctl(jump=60.0)
        page = await client.listing("/r/python/new?limit=100")
        _, _, truth = await client.get(f"/__truth?since={EPOCH}")
    mine = [child["data"] for child in page["children"] if child["data"]["id"] in added]
    assert [post["id"] for post in mine] == sorted(added, reverse=True)
    assert {post["title"] for post in mine} == {"A planted title"}
    assert all(post["score"] > 900 for post in mine)
    ids = [post["id"] for post in truth["posts"]]
    assert ids == sorted(ids)
    times = [post["created"] for post in truth["posts"]]
    assert times == sorted(times)


async def test_speed_limit_and_status_are_settable() -> None:
    async with simulated() as client:
        await client.ctl(speed=1000.0)
        await client.ctl(limit=5, window=60.0, used=4)
        _, headers, _ = await client.get("/r/python/new")
        _, _, status = await client.get("/__ctl")
    assert (status["speed"], status["limit"], status["window"]) == (1000.0, 5, 60.0)
    assert status["now"] > EPOCH
    assert "x-ratelimit-used" in headers


async def test_a_restart_goes_on_with_the_same_posts_and_what_was_done_to_them(tmp_path: Path) -> None:
    async with simulated(kept_in(tmp_path)) as client:
        added = (await client.ctl(add="python", title="Kept"))["added"][0]
        await client.ctl(jump=3_600.0)
        victim = names(await client.listing("/r/worldnews/new"))[3]
        comment = names(await client.listing("/r/worldnews/comments"))[3]
        await client.ctl(delete=[victim, comment])
        await client.ctl(access={"news": "private"})
        _, _, before = await client.get("/__truth?comments=1")
    async with simulated(kept_in(tmp_path, seed=8)) as client:
        _, _, after = await client.get("/__truth?comments=1")
        (of_comment,) = (await client.listing(f"/api/info?id={comment}"))["children"]
        shown = names(await client.listing("/r/worldnews/new?limit=100"))
        status, _, _ = await client.get("/r/news/new")
    assert after == before
    assert added in {post["id"] for post in after["posts"]}
    assert victim not in shown
    assert (of_comment["data"]["author"], of_comment["data"]["body"]) == ("[deleted]", "[deleted]")
    (deleted,) = (one for one in after["comments"] if f"t1_{one['id']}" == comment)
    assert deleted["deleted_at"] is not None
    assert status == 403


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"version": 99, "parameters": {}, "clock": {"sim": 1, "real": 1, "speed": 1}}']
)
async def test_a_damaged_data_directory_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(Fatal, match=r"state\.json.*remove the directory"):
        await start(kept_in(tmp_path))
