"""Statistics and counted keywords over HTTP."""

from datetime import UTC, timedelta

import httpx
import pytest

from signalflow.clock import utcnow
from tests.integration.posts_api import store
from tests.integration.storage_rows import features

BASE = utcnow().astimezone(UTC).replace(microsecond=0) - timedelta(hours=5)


async def test_statistics_have_every_part_and_no_made_up_zero(database_url: str, client: httpx.AsyncClient) -> None:
    hour = BASE.replace(minute=30, second=0)
    posts = [
        ("a", "python", "ada", 100, 1, 0.5, 0.6, True, ["one", "two"], 0),
        ("b", "python", "ada", 20, 50, 0.0, 0.0, False, ["one"], 0),
        ("c", "rust", None, -4, 3, None, -0.8, False, [], 2),
    ]
    await store(
        database_url,
        *(
            {
                "id": name, "subreddit": subreddit, "author": author, "current_score": score,
                "current_comments": comments, "trend_velocity": velocity, "nlp": features(sentiment, *keywords),
                "is_trending": trending,
                "created_utc": hour + timedelta(hours=later),
            }
            for name, subreddit, author, score, comments, velocity, sentiment, trending, keywords, later in posts
        ),
        {"id": "outside", "created_utc": BASE - timedelta(days=3), "current_score": 10_000},
    )  # fmt: skip
    stats = (await client.get("/api/stats", params={"window": "24h"})).json()
    assert stats["overview"] == {
        "posts": 3, "authors": 1, "subreddits": 2, "trending": 1, "total_score": 116, "total_comments": 54,
        "average_score": pytest.approx(116 / 3), "average_comments": 18.0, "average_sentiment": pytest.approx(-0.2 / 3),
    }  # fmt: skip
    assert [post["id"] for post in stats["most_upvoted"]] == ["a", "b", "c"]
    assert [post["id"] for post in stats["most_commented"]] == ["b", "c", "a"]
    assert [(post["id"], post["engagement_score"]) for post in stats["top_posts"]] == [("b", 120), ("a", 102), ("c", 2)]
    assert stats["top_authors"] == [
        {"author": "ada", "posts": 2, "total_score": 120, "total_comments": 51, "engagement_score": 222}
    ]
    assert [(one["subreddit"], one["posts"], one["trending"], one["average_score"]) for one in stats["subreddits"]] == [
        ("python", 2, 1, 60.0),
        ("rust", 1, 0, -4.0),
    ]
    assert [part["posts"] for part in stats["timeline"] if part["posts"]] == [2, 1]
    assert len(stats["timeline"]) in (24, 25)
    assert [(one["keyword"], one["posts"], one["average_score"]) for one in stats["keywords"]] == [
        ("one", 2, 60.0),
        ("two", 1, 100.0),
    ]
    sentiment = stats["sentiment"]
    assert [sentiment[name] for name in ("positive", "neutral", "negative", "unknown")] == [1, 1, 1, 0]
    assert len(sentiment["bins"]) == 20
    assert sum(one["posts"] for one in sentiment["bins"]) == 3
    assert [one["posts"] for one in stats["velocities"]] == [0, 1, 0, 0, 1, 0, 0]
    assert sum(one["posts"] for one in stats["ages"]) == 3
    empty = (
        await client.get("/api/stats/", params={"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"})
    ).json()
    assert empty["overview"]["posts"] == 0
    assert empty["overview"]["average_score"] is None
    assert empty["top_posts"] == []


async def test_spellings_of_one_name_are_one_subreddit_shown_as_it_was_seen_last(
    database_url: str, client: httpx.AsyncClient
) -> None:
    now = utcnow()
    spelled = [("a", "harborcats", 5, 10), ("b", "HarborCats", 1, 20), ("c", "HARBORCATS", 3, 60), ("d", "rust", 2, 7)]
    await store(
        database_url,
        *(
            {
                "id": name, "subreddit": subreddit, "created_utc": now - timedelta(hours=6), "current_score": score,
                "observed_at": now - timedelta(hours=age), "nlp": features(0.5 if name == "a" else -0.1, "ferry"),
            }
            for name, subreddit, age, score in spelled
        ),
    )  # fmt: skip
    stats = (await client.get("/api/stats", params={"window": "24h"})).json()
    assert stats["overview"]["subreddits"] == 2
    cats, rust = stats["subreddits"]
    assert (cats["subreddit"], cats["posts"], cats["total_score"], cats["average_score"]) == ("HarborCats", 3, 90, 30.0)
    assert cats["average_sentiment"] == pytest.approx(0.1)
    assert (rust["subreddit"], rust["posts"]) == ("rust", 1)
    (ferry,) = (await client.get("/api/keywords/", params={"window": "24h"})).json()["items"]
    assert (ferry["posts"], ferry["subreddits"]) == (4, 2)
    for written in ("harborcats", "HARBORcats"):
        posts = (await client.get("/api/posts", params={"subreddit": written})).json()["items"]
        assert {post["id"] for post in posts} == {"a", "b", "c"}


async def test_keywords_are_counted_with_the_window_before(database_url: str, client: httpx.AsyncClient) -> None:
    now = utcnow()
    rows = [("a", 1, 10), ("b", 2, 20), ("c", 30, 5), ("d", 100, 1)]
    await store(
        database_url,
        *(
            {
                "id": name,
                "created_utc": now - timedelta(hours=age),
                "current_score": score,
                "nlp": features(0.5, "rocket"),
            }
            for name, age, score in rows
        ),
    )
    body = (await client.get("/api/keywords/", params={"window": "24h", "subreddit": "PYTHON"})).json()
    (item,) = body["items"]
    assert item == {
        "keyword": "rocket", "posts": 2, "posts_before": 1, "subreddits": 1, "total_score": 30, "total_comments": 0,
        "average_sentiment": 0.5,
    }  # fmt: skip
    assert (await client.get("/api/keywords", params={"subreddit": "rust"})).json()["items"] == []
