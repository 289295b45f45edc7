"""What rises most is watched for a day, where that is wanted, unless a user says otherwise."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from agents import jobs
from signalflow.clock import utcnow
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.run_history import RunBook
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.subreddit_changes import Change, add_subreddits, change_subreddits, remove_subreddits
from signalflow.storage.subreddits import active_subreddits
from signalflow.storage.trending_subreddits import note_popular, note_rising
from signalflow.storage.trending_watch import watch_trending
from tests.integration.storage_rows import contents
from tests.integration.test_storage_jobs import Timers

NOW = utcnow()
HOUR = timedelta(hours=1)


async def rise(pool: Pool, *names: str, hours: float = 0.0) -> None:
    """These subreddits rise, the first one most, so many hours from now."""
    at = NOW + hours * HOUR
    await note_rising(pool, [RisingPost(f"p{name}", name, "hot", rank, at) for rank, name in enumerate(names, 1)])


async def watched(pool: Pool) -> dict[str, tuple[str, str | None]]:
    return {row.name: (row.priority, row.changed_by) for row in await active_subreddits(pool)}


@pytest.mark.by_mode
async def test_the_strongest_are_watched_for_a_day_and_then_others_may_come(pool: Pool) -> None:
    await rise(pool, "zig", "elm", "lua")
    assert await watch_trending(pool, 2, NOW) == (["zig", "elm"], [])
    assert await watched(pool) == dict.fromkeys(("elm", "zig"), ("slow", "signalflow:trending"))
    assert await watch_trending(pool, 2, NOW + 23 * HOUR) == ([], [])
    await rise(pool, "ada", "lua", hours=24.5)
    assert await watch_trending(pool, 2, NOW + 24.5 * HOUR) == (["ada", "lua"], ["elm", "zig"])
    assert list(await watched(pool)) == ["ada", "lua"]
    assert [row["action"] for row in await contents(pool, "audit_log")] == [
        "subreddit.add", "subreddit.remove", "subreddit.add",
    ]  # fmt: skip


async def test_a_popular_subreddit_of_which_nothing_rises_is_not_watched(pool: Pool) -> None:
    await note_popular(pool, [PopularSubreddit("pics", 1), PopularSubreddit("lua", 2)], NOW)
    await rise(pool, "zig", "elm", "lua")
    assert await watch_trending(pool, 5, NOW) == (["zig", "elm", "lua"], [])


async def test_with_none_wanted_nothing_is_added_and_what_is_watched_ends_with_its_day(pool: Pool) -> None:
    await rise(pool, "zig", "elm")
    assert await watch_trending(pool, 0, NOW) == ([], [])
    await watch_trending(pool, 1, NOW)
    assert await watch_trending(pool, 0, NOW + HOUR) == ([], [])
    assert await watch_trending(pool, 0, NOW + 25 * HOUR) == ([], ["zig"])
    assert await watched(pool) == {}


async def test_what_a_user_adds_or_changes_stays_and_what_a_user_removes_does_not_come_back(pool: Pool) -> None:
    await rise(pool, "added", "changed", "removed", "untouched")
    await watch_trending(pool, 4, NOW)
    await add_subreddits(pool, ["added"], Change(), by="ann", now=NOW + HOUR)
    await change_subreddits(pool, ["changed"], Change(comments=True), by="ann", now=NOW + HOUR)
    await remove_subreddits(pool, ["removed"], by="ann", now=NOW + HOUR)
    await rise(pool, "removed", "untouched", hours=25)
    assert await watch_trending(pool, 4, NOW + 25 * HOUR) == (["untouched"], ["untouched"])
    assert await watched(pool) == {
        "added": ("slow", "ann"), "changed": ("slow", "ann"), "untouched": ("slow", "signalflow:trending"),
    }  # fmt: skip


@pytest.mark.parametrize("most", [0, 1])
async def test_the_leader_watches_as_many_as_the_setting_says(pool: Pool, most: int) -> None:
    await rise(pool, "zig", "elm")
    timers, book = Timers(), RunBook()
    settings = Settings(discover_watch=most)
    jobs.register(timers, settings, lambda: SimpleNamespace(pool=pool), book)  # type: ignore[arg-type]
    await timers.by_name["trending"]()
    assert list(await watched(pool)) == ["zig"][:most]
    assert [report.outcome for report in book.reports(0.0) if report.kind == "trending"] == ["ok"]
