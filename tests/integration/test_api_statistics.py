"""Statistics and counted keywords over HTTP."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from signalflow.clock import utcnow
from signalflow.storage.pool import Pool
from tests.integration.posts_api import store
from tests.integration.signal_rows import signal, store_signals, viral
from tests.integration.storage_rows import features

BASE = utcnow().astimezone(UTC).replace(microsecond=0) - timedelta(hours=5)


async def test_statistics_have_every_part_and_no_made_up_zero(
    database_url: str, pool: Pool, client: httpx.AsyncClient
) -> None:
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
    of_a_post = {"kind": "unusual_here", "subject_kind": "post"}
    await store_signals(
        pool, viral("a"), viral("b", ended_at=BASE), viral("outside"),
        signal("unusual_here-a", subject="a", **of_a_post), signal("of a subreddit", subject="c"),
    )  # fmt: skip
    stats = (await client.get("/api/stats", params={"window": "24h"})).json()
    assert stats["overview"] == {
        "posts": 3, "authors": 1, "subreddits": 2, "trending": 1, "took_off": 2, "unusual": 1, "total_score": 116,
        "total_comments": 54,
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
    assert (empty["overview"]["posts"], empty["overview"]["took_off"]) == (0, 0)
    assert empty["overview"]["average_score"] is None
    assert empty["top_posts"] == []


async def test_posts_without_numbers_have_no_totals_and_change_no_mean(
    database_url: str, client: httpx.AsyncClient
) -> None:
    now = utcnow()
    feed = {"current_score": None, "current_comments": None, "over_18": None, "trend_velocity": None}
    rows = [
        ("a", "cats", "ada", 4, feed), ("b", "cats", "ada", 4, feed), ("c", "rust", "bob", 2, feed),
        ("d", "rust", "bob", 2, {"current_score": -6, "current_comments": 2}),
    ]  # fmt: skip
    await store(
        database_url,
        *(
            {
                "id": name, "subreddit": subreddit, "author": author, "created_utc": now - timedelta(hours=hours),
                "nlp": features(0.5, f"about {subreddit}"), **numbers,
            }
            for name, subreddit, author, hours, numbers in rows
        ),
    )  # fmt: skip
    stats = (await client.get("/api/stats", params={"window": "24h"})).json()
    names = ("posts", "total_score", "total_comments", "average_score")
    found = {one["subreddit"]: tuple(one[name] for name in names) for one in stats["subreddits"]}
    assert found == {"cats": (2, None, None, None), "rust": (2, -6, 2, -6.0)}
    assert {one["author"]: one["engagement_score"] for one in stats["top_authors"]} == {"bob": -2, "ada": None}
    assert [one["author"] for one in stats["top_authors"]] == ["bob", "ada"], "what is unknown comes last"
    hours = [(one["posts"], one["total_score"], one["total_comments"]) for one in stats["timeline"]]
    assert sorted(set(hours), key=str) == [(0, 0, 0), (2, -6, 2), (2, None, None)]
    assert [stats["overview"][name] for name in (*names, "average_comments")] == [4, -6, 2, -6.0, 2.0]
    for ranking in ("most_upvoted", "most_commented", "top_posts"):
        assert [post["id"] for post in stats[ranking]] == ["d", "c", "b", "a"], ranking
    of_cats = (await client.get("/api/stats", params={"window": "24h", "subreddit": "cats"})).json()
    assert [of_cats["overview"][name] for name in (*names, "average_comments")] == [2, None, None, None, None]
    assert {one["average_engagement"] for one in of_cats["ages"]} == {None}
    keywords = (await client.get("/api/keywords/", params={"window": "24h"})).json()["items"]
    totals = {one["keyword"]: (one["posts"], one["total_score"], one["total_comments"]) for one in keywords}
    assert totals == {"about cats": (2, None, None), "about rust": (2, -6, 2)}


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
        "average_sentiment": 0.5, "trend": [0] * 10 + [1, 1],
    }  # fmt: skip
    assert (await client.get("/api/keywords", params={"subreddit": "rust"})).json()["items"] == []


async def test_a_keywords_trend_counts_its_posts_by_time(database_url: str, client: httpx.AsyncClient) -> None:
    begin = BASE - timedelta(hours=24)
    hours = (0, 1, 1.5, 11, 23, 23.9)
    await store(
        database_url,
        *(
            {"id": f"p{n}", "created_utc": begin + timedelta(hours=hour), "nlp": features(0.1, "rocket")}
            for n, hour in enumerate(hours)
        ),
        {"id": "old", "created_utc": begin - timedelta(seconds=1), "nlp": features(0.1, "rocket")},
        {"id": "new", "created_utc": BASE, "nlp": features(0.1, "rocket")},
    )
    span = {"created_from": begin.isoformat(), "created_to": BASE.isoformat()}
    body = (await client.get("/api/keywords/", params=span)).json()
    (rocket,) = body["items"]
    assert rocket["trend"] == [3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
    assert (rocket["posts"], rocket["posts_before"]) == (6, 1)
    assert datetime.fromisoformat(body["start"]) == begin
    assert datetime.fromisoformat(body["end"]) == BASE


async def test_words_that_say_nothing_are_not_counted_as_keywords(database_url: str, client: httpx.AsyncClient) -> None:
    said = ["read", "file", "updated", "far", "file format", "far side", "python"]
    await store(database_url, {"id": "a", "created_utc": BASE, "nlp": features(0.1, *said)})
    counted = (await client.get("/api/keywords/", params={"window": "24h"})).json()["items"]
    assert [one["keyword"] for one in counted] == ["far side", "file format", "python"]
    stats = (await client.get("/api/stats/", params={"window": "24h"})).json()
    assert [one["keyword"] for one in stats["keywords"]] == ["far side", "file format", "python"]
    # Of the post itself they are told.
    assert (await client.get("/api/posts/a/")).json()["nlp"]["keywords"] == said


COUNTED = {
    "a": ("python", "Ada", 50, 0.6, True, ["rocket"], "A rocket launch"),
    "b": ("PYTHON", "bob", 5, -0.6, False, ["tea"], "Tea in the morning"),
    "c": ("rust", "ada", 7, 0.0, False, ["rocket", "tea"], "宇宙開発"),
}


@pytest.mark.parametrize(
    ("filters", "counted"),
    [
        ({"subreddit": "Python"}, "ab"),
        ({"subreddit": ["rust", "python"]}, "abc"),
        ({"author": "ADA"}, "ac"),
        ({"q": "launches or tea"}, "ab"),
        ({"q": "launches score>10 subreddit:python"}, "a"),
        ({"q": "author:ada OR sentiment<-0.5"}, "abc"),
        ({"q": "author:ada -(rocket OR sentiment<-0.5)"}, "c"),
        ({"q": "宇宙"}, "c"),
        ({"keyword": "rocket"}, "ac"),
        ({"keyword": "Rocket", "subreddit": "rust"}, "c"),
        ({"min_score": 6}, "ac"),
        ({"trending": "false"}, "bc"),
        ({"over_18": "true"}, ""),
        ({"min_sentiment": 0.5}, "a"),
        ({"max_sentiment": -0.1}, "b"),
    ],
)
async def test_the_filters_of_the_post_list_filter_statistics_and_keywords(
    database_url: str, client: httpx.AsyncClient, filters: dict[str, Any], counted: str
) -> None:
    await store(
        database_url,
        *(
            {
                "id": name, "subreddit": subreddit, "author": author, "current_score": score, "is_trending": trending,
                "nlp": features(sentiment, *keywords), "title": title, "created_utc": BASE,
            }
            for name, (subreddit, author, score, sentiment, trending, keywords, title) in COUNTED.items()
        ),
    )  # fmt: skip
    listed = (await client.get("/api/posts/", params=filters)).json()
    assert sorted(post["id"] for post in listed["items"]) == list(counted)
    stats = (await client.get("/api/stats/", params=filters)).json()
    assert stats["overview"]["posts"] == len(counted)
    assert sorted(post["id"] for post in stats["top_posts"]) == list(counted)
    assert sum(hour["posts"] for hour in stats["timeline"]) == len(counted)
    words = (await client.get("/api/keywords/", params=filters)).json()
    expected = Counter(word for name in counted for word in COUNTED[name][5])
    assert {one["keyword"]: one["posts"] for one in words["items"]} == expected
    assert listed["search"] == stats["search"] == words["search"]


async def test_the_window_of_statistics_has_the_names_of_the_filters_and_its_former_ones(
    database_url: str, client: httpx.AsyncClient
) -> None:
    await store(database_url, {"id": "in", "created_utc": BASE}, {"id": "after", "created_utc": BASE + timedelta(1)})
    begin, end = (BASE - timedelta(days=1)).isoformat(), (BASE + timedelta(hours=1)).isoformat()
    for names in (("created_from", "created_to"), ("start", "end"), ("created_from", "end")):
        stats = (await client.get("/api/stats/", params=dict(zip(names, (begin, end), strict=True)))).json()
        assert [post["id"] for post in stats["top_posts"]] == ["in"], names
