"""Trending subreddits: recorded, ranked, shown by API and command, and gone from the list once they are watched."""

from datetime import timedelta

import httpx
import pytest

from signalflow.clock import utcnow
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.storage.trending_subreddits import note_popular, note_rising, trending_subreddits
from tests.integration.storage_rows import column

NOW = utcnow()


def rising(id_: str, subreddit: str, rank: int, hours_ago: float = 0.0, post_sort: str = "hot") -> RisingPost:
    return RisingPost(id_, subreddit, post_sort, rank, NOW - timedelta(hours=hours_ago))


@pytest.mark.by_mode
async def test_subreddits_are_ranked_by_what_rose_and_watched_ones_are_left_out(pool: Pool) -> None:
    await load_defaults(pool, [WatchedSubreddit("Python", 60, "fast")])
    posts = [
        rising("a", "Rust", 3), rising("b", "rust", 1), rising("b", "rust", 7, post_sort="rising"),
        rising("c", "go", 1), rising("d", "python", 1), rising("e", "old", 1, hours_ago=30),
    ]  # fmt: skip
    await note_rising(pool, posts)
    await note_rising(pool, posts)
    await note_rising(pool, [rising("a", "Rust", 9, hours_ago=-1)])
    found = await trending_subreddits(pool, NOW - timedelta(hours=24), 10)
    assert [(each.name.lower(), each.posts, each.best_rank, each.weight) for each in found] == [
        ("rust", 2, 1, 1.5), ("go", 1, 1, 1.0),
    ]  # fmt: skip
    assert (found[0].first_seen_at, found[0].last_seen_at) == (NOW, NOW + timedelta(hours=1))
    assert [each.name for each in await trending_subreddits(pool, NOW - timedelta(hours=48), 10)][2:] == ["old"]


def named(*names: str) -> list[PopularSubreddit]:
    """Reddit's list of popular subreddits."""
    return [PopularSubreddit(name, rank) for rank, name in enumerate(names, 1)]


@pytest.mark.by_mode
async def test_popularity_decides_between_equal_ones_and_what_does_not_rise_comes_last(pool: Pool) -> None:
    await load_defaults(pool, [WatchedSubreddit("Python", 60, "fast")])
    await note_rising(
        pool, [rising("a", "rust", 1), rising("b", "go", 3), rising("c", "Zig", 3), rising("d", "ada", 3)]
    )
    listed = named("Home", "python", "zig", "pics", "GO")
    await note_popular(pool, listed, NOW)
    await note_popular(pool, listed, NOW)
    found = await trending_subreddits(pool, NOW - timedelta(hours=1), 10)
    assert [(each.name.lower(), each.posts, each.best_rank, each.popular_rank) for each in found] == [
        ("rust", 1, 1, None), ("zig", 1, 3, 3), ("go", 1, 3, 5), ("ada", 1, 3, None),
        ("home", 0, None, 1), ("pics", 0, None, 4),
    ]  # fmt: skip
    assert [each.weight for each in found] == [1.0, 0.5, 0.5, 0.5, 0.0, 0.0]
    assert (found[4].first_seen_at, found[4].last_seen_at) == (None, None)
    assert len(await trending_subreddits(pool, NOW - timedelta(hours=1), 3)) == 3


@pytest.mark.by_mode
async def test_a_newer_list_of_popular_subreddits_takes_the_place_of_the_one_before(pool: Pool) -> None:
    await note_popular(pool, named("Home", "pics"), NOW)
    await note_popular(pool, named("news", "home"), NOW + timedelta(hours=1))
    # What an older poller tells late changes nothing of it, and neither does a name that is there twice.
    await note_popular(pool, named("pics", "Home"), NOW)
    await note_popular(pool, named("news", "home", "News"), NOW + timedelta(hours=1))
    found = await trending_subreddits(pool, NOW, 10)
    assert [(each.name, each.popular_rank) for each in found] == [("news", 1), ("home", 2)]


async def test_a_list_of_popular_subreddits_is_forgotten_when_it_was_not_read_for_a_week(pool: Pool) -> None:
    await note_popular(pool, named("Home"), NOW - timedelta(days=8))
    await note_rising(pool, [rising("b", "go", 1)])
    assert [each.name for each in await trending_subreddits(pool, NOW - timedelta(days=1), 10)] == ["go"]


@pytest.mark.by_mode
async def test_what_rose_a_week_ago_is_forgotten(pool: Pool) -> None:
    await note_rising(pool, [rising("a", "rust", 1, hours_ago=8 * 24)])
    await note_rising(pool, [rising("b", "go", 1)])
    assert await column(pool, "rising_posts", "subreddit") == ["go"]


async def test_the_api_lists_them_and_the_address_is_not_that_of_a_subreddit(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    await note_rising(pool, [rising("a", "rust", 3)])
    await note_popular(pool, named("pics"), NOW)
    answer = (await client.get("/api/subreddits/trending/")).json()
    seen = NOW.isoformat().replace("+00:00", "Z")
    assert answer == {
        "items": [
            {
                "name": "rust",
                "posts": 1,
                "best_rank": 3,
                "weight": 0.5,
                "popular_rank": None,
                "first_seen_at": seen,
                "last_seen_at": seen,
            },
            {
                "name": "pics",
                "posts": 0,
                "best_rank": None,
                "weight": 0.0,
                "popular_rank": 1,
                "first_seen_at": None,
                "last_seen_at": None,
            },
        ]
    }
    assert (await client.get("/api/subreddits/trending/", params={"hours": 0})).status_code == 422
    assert (await client.get("/api/subreddits/trending/", params={"limit": 1, "hours": 1})).status_code == 200
