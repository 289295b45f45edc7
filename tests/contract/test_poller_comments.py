"""The poller reads the comments of followed subreddits from the simulator: all of them, each once, beside the posts."""

import asyncio
from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from signalflow.domain import comment_refresh
from signalflow.domain.comment_planner import StoredComment
from signalflow.events import CommentEnvelope, decode_comment, encode
from signalflow.simulator.truth import truth as comments_of
from tests.contract.feeds_day import HOUR, MARGIN, FeedsRun, now, virtually
from tests.contract.poller_run import Run, World, begin, finds, running
from tests.contract.test_poller_day_with_feeds import FEEDS
from tests.contract.virtual_time import EPOCH
from tests.waiting import until

pytestmark = pytest.mark.slow

FOLLOWED = ("funny", "python")


async def truth(run: Run, since: float) -> list[dict[str, Any]]:
    """The comments of followed subreddits that were written since then, and are shown."""
    answer = await run.http.get(
        f"{run.simulator.url}/__truth", params={"comments": 1, "since": since, "subreddit": ",".join(FOLLOWED)}
    )
    return [comment for comment in answer.json()["comments"] if comment["visible_now"]]


def following(world: World) -> World:
    world.configured = [replace(each, comments=each.name in FOLLOWED) for each in world.configured]
    return world


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("source", ["simulator", "feeds"])
async def test_every_comment_of_followed_subreddits_is_published_once_and_no_other(world: World, source: str) -> None:
    async with running(following(world), source=source) as run:
        await begin(run)
        await until(lambda: bool(world.comments.published), "the first comments")
        since = run.simulator.clock.now()
        # Posts that get a hundred comments within seconds.
        for name in (*FOLLOWED, "askscience"):
            await run.control(add=name, k=2, talk=60, tau=4, rise=50)

        async def all_are_published() -> bool:
            true = {comment["id"] for comment in await truth(run, since)}
            return len(true) > 150 and true <= set(world.comments.ids)

        await until(all_are_published, "all comments", 60)
        true = {comment["id"]: comment for comment in await truth(run, since)}
        await finds(run, "askscience")
    assert max(Counter(world.comments.ids).values()) == 1
    assert {envelope.metadata.subreddit.lower() for envelope in world.comments.published} == set(FOLLOWED)
    for envelope in world.comments.published:
        assert decode_comment(encode(envelope)) == envelope
        if comment := true.get(envelope.payload.id):
            assert envelope.payload.post_id == comment["post_id"]
            assert envelope.payload.parent_id == (comment["parent_id"] if source == "simulator" else None)
            assert envelope.metadata.observed_at.timestamp() >= comment["created_utc"]
    asked = [entry.path for entry in run.requests("/r/") if "/comments" in entry.path]
    assert asked
    assert all(entry.startswith(f"/r/{'+'.join(FOLLOWED)}/comments") for entry in asked if "after=" not in entry)


@pytest.mark.usefixtures("quick")
async def test_a_flood_of_comments_is_recorded_as_a_gap_before_its_second_page_and_completed(world: World) -> None:
    async with running(following(world)) as run:
        await begin(run)
        await until(lambda: bool(world.comments.published), "the first comments")
        await run.control(path="/r/funny+python/comments", status=503, count=-1)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "no answer")
        since = run.simulator.clock.now()
        await run.control(add="funny", k=4, talk=100, tau=0.5, rise=50)
        await until(lambda: run.simulator.clock.now() > since + 3, "the comments to be written", 20)
        await run.control(clear=True)
        await until(lambda: world.comments.outcomes.get(1) == "proven", "the gap to be closed", 60)

        async def flood_is_published() -> bool:
            flood = {comment["id"] for comment in await truth(run, since)}
            return len(flood) > 300 and flood <= set(world.comments.ids)

        await until(flood_is_published, "all of the flood")
        paged = [entry.real for entry in run.requests("/r/") if "comments" in entry.path and "after=" in entry.path]
    assert world.comments.opened_at[0] <= paged[0]
    assert world.opened == [], "it is no gap between posts"


@pytest.mark.usefixtures("quick")
async def test_a_successor_finds_what_was_written_while_nobody_polled(world: World) -> None:
    async with running(following(world)) as run:
        await until(lambda: len(world.comments.published) > 20, "the first comments")
        await until(lambda: set(world.comments.polled) == set(FOLLOWED), "a report of the polls")
    successor = following(World())
    successor.comments.stored = [
        StoredComment(payload.id, envelope.metadata.subreddit.lower(), payload.created_utc.timestamp())
        for envelope in world.comments.published
        for payload in [envelope.payload]
    ]
    async with running(successor) as run:
        await begin(run)
        await until(lambda: any("/comments" in entry.path for entry in run.requests("/r/")), "a listing of comments")
        await finds(run)
    assert not set(successor.comments.ids) & set(world.comments.ids)


@pytest.mark.usefixtures("quick")
async def test_without_a_followed_subreddit_no_comment_is_asked_for(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await finds(run)
        assert not [entry for entry in run.requests() if "/comments" in entry.path]
        world.configured = following(world).configured
        await until(lambda: bool(world.comments.published), "comments, once they are followed")


def test_at_one_feed_a_minute_three_subreddits_can_be_followed_beside_the_posts_of_all() -> None:
    """Three hours of virtual time. Posts wait longer, because every fourth minute is for comments."""
    names = ("python", "rust", "askscience")
    lacking: list[str] = []
    found: list[str] = []

    async def follow(run: FeedsRun) -> None:
        run.world.configured = [replace(each, comments=each.name in names) for each in run.world.configured]
        await asyncio.sleep(3 * HOUR)
        query = {"comments": "1", "since": str(EPOCH + MARGIN), "until": str(now() - MARGIN)}
        query["subreddit"] = ",".join(names)
        true = comments_of(run.simulator.world, run.simulator.texts, query, now())["comments"]
        found.extend(run.world.comments.ids)
        lacking.extend({each["id"] for each in true if each["visible_now"]}.difference(found))

    day = virtually(FEEDS, follow)
    assert (day.missed, lacking) == ([], [])
    assert len(found) > 500
    assert max(Counter(found).values()) == 1
    assert median(day.delays) <= 60
    assert day.p99 <= 240


@pytest.mark.usefixtures("quick")
async def test_comments_are_looked_at_again_by_id_and_their_scores_are_those_of_reddit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comment_refresh, "AGES", (5.0,))
    monkeypatch.setattr(comment_refresh, "PATIENCE", 1.0)
    async with running(following(world)) as run:
        await begin(run)
        await until(lambda: bool(world.comments.published), "the first comments")
        since = run.simulator.clock.now()
        await run.control(add="funny", k=2, talk=60, tau=4, rise=50)

        def refreshed() -> dict[str, CommentEnvelope]:
            again = (each for each in world.comments.published if each.mode == "refresh")
            return {each.payload.id: each for each in again if each.payload.created_utc.timestamp() >= since}

        await until(lambda: len(refreshed()) > 20, "refreshes", 60)
        answer = await run.http.get(f"{run.simulator.url}/__truth", params={"comments": 1, "since": since})
        scores = {comment["id"]: comment["score"] for comment in answer.json()["comments"]}
    again = refreshed()
    # Scores grow, so those that were seen are at most what they are now.
    assert all(
        each.payload.score is not None and abs(each.payload.score - 1) <= abs(scores[id_] - 1)
        for id_, each in again.items()
    )
    assert any(each.payload.score != 1 for each in again.values())
    asked = [entry.path for entry in run.requests("/api/info") if "t1_" in entry.path]
    assert asked
    assert all("t3_" not in entry for entry in asked)
