"""Posts whose numbers no source told, or not every one: in the tables, in the list, and after an upgrade."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from alembic import command

from signalflow.events import Enriched
from signalflow.storage import migrate
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import NOON, contents, observation, pool_of

pytestmark = pytest.mark.by_mode

A_FEED: dict[str, Any] = {"current_score": None, "current_comments": None, "current_ratio": None, "over_18": None}


def of_the_api(seconds: float) -> Enriched:
    return observation("a", seconds, current_score=7, current_comments=3, over_18=True, flair="News")


def of_a_feed(seconds: float) -> Enriched:
    return observation("a", seconds, title="the title of a feed", is_self=None, **A_FEED)


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("feed_at", [0, 60], ids=["feed first", "feed last"])
@pytest.mark.parametrize("arrives_last", ["feed", "api"])
async def test_null_replaces_no_number_whatever_is_newer_and_whatever_arrives_last(
    pool: Pool, batches: int, feed_at: int, arrives_last: str
) -> None:
    rows = [of_the_api(30), of_a_feed(feed_at)]
    if arrives_last == "api":
        rows.reverse()
    for batch in [rows] if batches == 1 else [[row] for row in rows]:
        await write_batch(pool, batch)
    (post,) = await contents(pool, "posts")
    assert [post[name] for name in ("current_score", "current_comments", "over_18", "flair")] == [7, 3, True, "News"]
    is_newer = feed_at > 30
    assert post["title"] == ("the title of a feed" if is_newer else "a plain title")
    told_at = NOON + timedelta(seconds=30) if is_newer else None
    assert (post["score_observed_at"], post["details_observed_at"]) == (told_at, told_at)
    assert [row["score"] for row in await contents(pool, "post_metrics_history")] == [7]


async def test_rows_of_the_version_before_take_feeds_and_numbers_after_the_upgrade(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers of the version before go on for a while; they write no moment of the numbers."""
    url = make_database()
    with monkeypatch.context() as before:
        before.setattr(migrate.command, "upgrade", lambda config, _: to_revision(config, "0015"))
        await migrate.upgrade(url)
    insert = (
        "INSERT INTO posts (id, subreddit, title, over_18, is_self, created_utc, first_seen_at, last_polled_at,"
        " current_score, current_comments, trending_score, is_trending)"
        " SELECT id, 'python', 'old', true, false, $2, $3, $3, 7, 3, 0, false FROM unnest($1::text[]) AS id"
    )
    async with await pool_of(url) as pool:
        await pool.execute(insert, ["fed", "late", "told"], NOON - timedelta(hours=1), NOON)
    assert (await migrate.upgrade(url)).pending == []
    async with await pool_of(url) as pool:
        feed = {**A_FEED, "is_self": None}
        await write_batch(pool, [observation("fed", 60, title="new", **feed), observation("new", 60, **feed)])
        await write_batch(pool, [observation("told", 60, current_score=9), observation("late", -60, current_score=1)])
        await pool.execute(
            "UPDATE posts SET last_polled_at = $1, current_score = 11 WHERE id = 'told'", NOON + timedelta(seconds=90)
        )
        await write_batch(pool, [observation("told", 75, current_score=10)])
        posts = {row["id"]: row for row in await contents(pool, "posts")}
    found = {name: (row["title"], row["current_score"], row["over_18"]) for name, row in posts.items()}
    assert found == {
        "fed": ("new", 7, True),
        "late": ("old", 7, True),
        "new": ("a plain title", None, None),
        "told": ("a plain title", 11, False),
    }
    moments = {name: (row["score_observed_at"], row["details_observed_at"]) for name, row in posts.items()}
    assert moments == {"fed": (NOON, NOON), "late": (None, None), "new": (None, None), "told": (None, None)}


def to_revision(config: Any, revision: str, upgrade: Callable[..., None] = command.upgrade) -> None:
    upgrade(config, revision)
