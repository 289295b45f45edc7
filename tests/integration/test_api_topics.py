"""Topic clusters over HTTP: pages, filters, one with its posts and hours, on a real database."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from signalflow.storage.erasure import erase_post
from signalflow.storage.pool import Pool
from signalflow.storage.topic_list import TopicFilter, page_statement
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import NOON, features, observation
from tests.integration.topic_rows import LABEL, store_topic


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


async def listed(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await client.get("/api/topics/", params=parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


async def test_a_topic_says_what_how_many_where_and_which_post_is_best(pool: Pool, client: httpx.AsyncClient) -> None:
    await write_batch(
        pool,
        [
            observation("a", subreddit="news", title="Genes", current_score=None),
            observation("b", subreddit="science", title="Court and genes", current_score=90),
            observation("c", subreddit="news", title="Patents", current_score=5),
            observation("other", subreddit="news", current_score=1000),
        ],
    )
    await store_topic(pool, "a", "a", "b", "c")
    page = await listed(client)
    (item,) = page["items"]
    assert (item["id"], item["label"], item["size"], item["living"]) == ("a", LABEL, 3, True)
    assert datetime.fromisoformat(item["began_at"]) == NOON - hours(3)
    assert datetime.fromisoformat(item["newest_at"]) == NOON
    assert item["subreddits"] == [{"subreddit": "news", "posts": 2}, {"subreddit": "science", "posts": 1}]
    assert item["top_post"] == {
        "id": "b",
        "title": "Court and genes",
        "subreddit": "science",
        "permalink": "/r/python/comments/b/",
        "current_score": 90,
    }
    assert (page["next"], "state" in item) == (None, False)


async def test_pages_repeat_and_leave_out_nothing_where_many_were_newest_at_once(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    for number in range(5):
        await store_topic(pool, f"a{number}", size=3)
    await store_topic(pool, "before", size=3, newest_at=NOON - hours(1), state=None)
    await store_topic(pool, "after", size=3, newest_at=NOON + hours(1))
    walked: list[str] = []
    page = await listed(client, page_size=2)
    while True:
        walked += ids(page)
        if page["next"] is None:
            break
        page = await listed(client, page_size=2, cursor=page["next"])
    assert walked == ["after", *(f"a{number}" for number in range(4, -1, -1)), "before"]
    assert not page["items"][-1]["living"]


async def test_filters_hold_together(pool: Pool, client: httpx.AsyncClient) -> None:
    await write_batch(pool, [observation("p1", subreddit="Rust"), observation("p2"), observation("p3")])
    await store_topic(pool, "mixed", "p1", "p2", size=7)
    await store_topic(pool, "small", "p3", size=2, newest_at=NOON - hours(1))
    await store_topic(pool, "old", size=3, newest_at=NOON - hours(2))
    await store_topic(pool, "alone", size=1, newest_at=NOON - hours(3))
    found = {
        "nothing said": ids(await listed(client)),
        "least posts": ids(await listed(client, min_posts=2)),
        "subreddit in any case": ids(await listed(client, subreddit="RUST")),
        "subreddits": ids(await listed(client, subreddit=["rust", "python"], min_posts=2)),
        "since": ids(await listed(client, since=(NOON - hours(1)).isoformat(), min_posts=2)),
        "all": ids(await listed(client, since=NOON.isoformat(), min_posts=2, subreddit="python")),
    }
    assert found == {
        "nothing said": ["mixed", "old"],
        "least posts": ["mixed", "small", "old"],
        "subreddit in any case": ["mixed"],
        "subreddits": ["mixed", "small"],
        "since": ["mixed", "small"],
        "all": ["mixed"],
    }


@pytest.mark.parametrize(
    ("parameters", "name", "told"),
    [
        ({"min_posts": 1}, "min_posts", "must be at least 2"),
        ({"since": "yesterday"}, "since", "must be"),
        ({"subreddit": "r/python"}, "subreddit.0", "without r/"),
        ({"cursor": "abc"}, "cursor", "not a cursor"),
        ({"page_size": 101}, "page_size", "must be at most 100"),
        ({"of": "x"}, "of", ""),
    ],
)
async def test_what_is_no_parameter_or_value_is_refused_by_name(
    client: httpx.AsyncClient, parameters: dict[str, Any], name: str, told: str
) -> None:
    answer = await client.get("/api/topics/", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == name
    assert told in fault["message"]


async def test_a_cursor_of_other_filters_is_refused(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_topic(pool, "a", size=3)
    await store_topic(pool, "b", size=3)
    cursor = (await listed(client, page_size=1))["next"]
    assert ids(await listed(client, page_size=2, cursor=cursor)) == ["a"]
    assert (await client.get("/api/topics/", params={"min_posts": 2, "cursor": cursor})).status_code == 422


async def test_an_unknown_topic_is_a_404_that_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/topics/nothing/")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "There is no topic nothing: it was never found, or ended with a single post."


async def test_one_topic_has_its_posts_what_repeats_another_one_and_its_hours(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    title = "Court rules on genes"
    await write_batch(
        pool,
        [
            observation("a", title=title, created_utc=NOON - hours(3), nlp=features(0.5), url="https://example.org/g"),
            observation("b", title=title.upper(), created_utc=NOON - hours(2.9), nlp=features(0.1)),
            observation("c", title="Genes again in court", created_utc=NOON, url="http://www.example.org/g"),
            observation("d", title="Genes are free at last", created_utc=NOON - hours(0.5), current_score=None),
        ],
    )
    await store_topic(pool, "a", "a", "b", "c", "d")
    await pool.executemany(
        """INSERT INTO comments (id, post_id, subreddit, created_utc, first_seen_at, observed_at, sentiment_score,
            sentiment_label) VALUES ($1, $2, 'python', $3, $3, $3, $4, $5)""",
        [
            ("c1", "a", NOON - hours(2.5), 0.5, "positive"),
            ("c2", "b", NOON - hours(2.4), None, None),
            ("c3", "b", NOON - hours(1.5), -0.5, "negative"),
            ("c4", "elsewhere", NOON, 0.9, "positive"),
        ],
    )
    answer = await client.get("/api/topics/a/")
    assert answer.headers["cache-control"] == "private, no-cache"
    told = answer.json()
    assert (told["size"], told["top_post"]["id"]) == (4, "a")
    assert [(post["id"], post["same_as"]) for post in told["posts"]] == [
        ("c", "a"), ("d", None), ("b", "a"), ("a", None),
    ]  # fmt: skip
    assert set(told["posts"][1]) == {
        *("id", "title", "subreddit", "author", "created_utc", "current_score", "current_comments", "permalink"),
        *("url", "sentiment_score", "sentiment_label", "same_as"),
    }
    assert told["posts"][1]["current_score"] is None
    by_hour = {
        datetime.fromisoformat(hour["at"]): (
            *(hour["posts"], hour["average_sentiment"], hour["comments"], hour["average_comment_sentiment"]),
        )
        for hour in told["timeline"]
    }
    assert list(by_hour) == sorted(by_hour)
    assert by_hour[NOON - hours(3)] == (2, pytest.approx(0.3), 2, 0.5)
    assert by_hour[NOON - hours(2)] == (0, None, 1, -0.5)
    assert {at: hour[0] for at, hour in by_hour.items()} == {
        NOON - hours(3): 2, NOON - hours(2): 0, NOON - hours(1): 1, NOON: 1,
    }  # fmt: skip


async def test_of_a_large_topic_the_newest_posts_are_listed(pool: Pool, client: httpx.AsyncClient) -> None:
    posts = [observation(f"p{number}", created_utc=NOON - timedelta(minutes=number)) for number in range(201)]
    await write_batch(pool, posts)
    await store_topic(pool, "p200", *(f"p{number}" for number in range(201)))
    told = (await client.get("/api/topics/p200/")).json()
    assert [post["id"] for post in told["posts"]] == [f"p{number}" for number in range(200)]
    # The title of all of them is the same, and the first one is not listed.
    assert told["posts"][0]["same_as"] == "p199"
    assert sum(hour["posts"] for hour in told["timeline"]) == 201


async def test_what_was_erased_is_in_no_topic(pool: Pool, client: httpx.AsyncClient) -> None:
    secret = observation("a", title="A secret of genes", author="hidden", current_score=90)
    await write_batch(pool, [secret, observation("b"), observation("c")])
    await store_topic(pool, "a", "a", "b", "c")
    assert (await listed(client))["items"][0]["top_post"]["title"] == "A secret of genes"
    await erase_post(pool, "a", who="test")
    one = await client.get("/api/topics/a/")
    assert [post["id"] for post in one.json()["posts"]] == ["c", "b"]
    for told in (one.text, (await client.get("/api/topics/")).text):
        assert "secret" not in told
        assert "hidden" not in told
    for id_ in ("b", "c"):
        await erase_post(pool, id_, who="test")
    empty = (await client.get("/api/topics/a/")).json()
    assert (empty["top_post"], empty["subreddits"], empty["posts"], empty["timeline"]) == (None, [], [], [])


@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        (TopicFilter(min_posts=3), ["topic_clusters_newest"]),
        (TopicFilter(since=NOON - hours(24)), ["topic_clusters_newest"]),
        (TopicFilter(subreddits=["Sub7"]), ["topic_clusters_newest", "post_nlp_features_of_cluster", "posts_pkey"]),
    ],
)
async def test_each_page_reads_little_by_an_index(pool: Pool, wanted: TopicFilter, indexes: list[str]) -> None:
    await pool.execute(
        """INSERT INTO topic_clusters SELECT 'p' || n, '{word}', 1 + n % 5, $1::timestamptz, $1 - n * interval '5 min',
            NULL FROM generate_series(1, 20000) AS n""",
        NOON,
    )
    posts = [observation(f"p{number}", subreddit=f"Sub{number % 10}") for number in range(1, 2001)]
    await write_batch(pool, posts)
    await pool.execute("UPDATE post_nlp_features SET topic_cluster = post_id, is_clustered = true")
    for table in ("topic_clusters", "post_nlp_features", "posts"):
        await pool.execute(f"VACUUM ANALYZE {table}")
    statement, parameters = page_statement(wanted, (NOON - hours(1), "p9"), 21)
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {statement}", *parameters))
    for index in indexes:
        assert index in plan, plan
    assert "Seq Scan" not in plan


async def test_a_post_says_how_many_posts_its_topic_has(pool: Pool, client: httpx.AsyncClient) -> None:
    await write_batch(pool, [observation(id_) for id_ in "abcd"])
    await store_topic(pool, "a", "a", "b", "c")
    await pool.execute("UPDATE post_nlp_features SET topic_cluster = 'd' WHERE post_id = 'd'")
    found = {id_: (await client.get(f"/api/posts/{id_}/")).json() for id_ in "bd"}
    assert [(post["nlp"]["topic_cluster"], post["topic_posts"]) for post in found.values()] == [("a", 3), ("d", None)]
