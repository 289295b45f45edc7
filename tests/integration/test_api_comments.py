"""The API's comments on a real PostgreSQL."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from signalflow.events import Comment
from signalflow.storage import comment_list
from signalflow.storage.comment_writer import write_comments
from signalflow.storage.pool import Pool
from tests.integration.comment_rows import comment, fed, seen
from tests.integration.posts_api import store
from tests.integration.storage_rows import CREATED, NOON

PATH = "/api/posts/abc/comments/"


def at(minutes: float) -> datetime:
    return CREATED + timedelta(minutes=minutes)


async def put(pool: Pool, *comments: Comment, subreddit: str = "python") -> None:
    await write_comments(pool, [seen(each, subreddit=subreddit) for each in comments])


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> dict[str, Any]:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def walk(client: httpx.AsyncClient, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """The items of all pages."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        body = await get(client, path, **parameters, **({"cursor": cursor} if cursor else {}))
        items += body["items"]
        cursor = body["next"]
        if cursor is None:
            return items


async def test_a_stored_comment_comes_back_with_all_its_fields(client: httpx.AsyncClient, pool: Pool) -> None:
    await put(pool, comment("c1", score=7, distinguished="moderator", stickied=True, is_submitter=True))
    (item,) = (await get(client, PATH, view="flat"))["items"]
    assert (
        item
        | {
            "id": "c1",
            "post_id": "abc",
            "parent_id": "t3_abc",
            "depth": None,
            "subreddit": "python",
            "author": "someone",
            "body": "I love it",
            "score": 7,
            "controversiality": 0,
            "is_submitter": True,
            "distinguished": "moderator",
            "stickied": True,
            "edited_at": None,
            "removed_by": None,
            "sentiment_label": "positive",
            "sentiment_basis": "as_written",
            "num_replies": 0,
        }
        == item
    )
    for name in ("first_seen_at", "observed_at", "score_observed_at"):
        assert datetime.fromisoformat(item[name]) == NOON
    assert datetime.fromisoformat(item["created_utc"]) == CREATED


async def test_what_no_source_told_is_null(client: httpx.AsyncClient, pool: Pool) -> None:
    await put(pool, fed("c1"))
    (item,) = (await get(client, PATH, view="flat"))["items"]
    names = ("parent_id", "depth", "score", "score_observed_at", "controversiality", "is_submitter", "stickied")
    assert {item[name] for name in names} == {None}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("new", ["d", "c", "b", "a", "e"]),
        ("old", ["e", "a", "b", "c", "d"]),
        ("best", ["c", "b", "a", "e", "d"]),
    ],
)
@pytest.mark.parametrize("page_size", [1, 2, 5])
async def test_the_pages_of_a_post_have_each_comment_once_in_order(
    client: httpx.AsyncClient, pool: Pool, sort: str, expected: list[str], page_size: int
) -> None:
    await put(
        pool,
        comment("a", created_utc=at(1), score=5),
        comment("b", created_utc=at(2), score=9, parent_id="t1_a"),
        comment("c", created_utc=at(3), score=9, parent_id="t1_b"),
        fed("d", created_utc=at(4)),
        comment("e", created_utc=at(0), score=-7),
        comment("x", created_utc=at(1), post_id="other", parent_id="t3_other"),
    )
    items = await walk(client, PATH, view="flat", sort=sort, page_size=page_size)
    assert [item["id"] for item in items] == expected


def ids(trees: list[dict[str, Any]]) -> list[Any]:
    """The ids of trees, each with those of its replies."""
    return [(node["id"], ids(node["replies"])) for node in trees]


async def test_a_tree_has_every_answer_below_what_it_answers(client: httpx.AsyncClient, pool: Pool) -> None:
    await put(
        pool,
        comment("a", score=1, created_utc=at(1)),
        comment("b", score=5, created_utc=at(2)),
        comment("a1", score=1, parent_id="t1_a", created_utc=at(3)),
        comment("a2", score=9, parent_id="t1_a", created_utc=at(4)),
        comment("a21", score=2, parent_id="t1_a2", created_utc=at(5)),
        comment("lost1", score=3, parent_id="t1_lost", created_utc=at(6)),
        comment("lost11", score=3, parent_id="t1_lost1", created_utc=at(7)),
        fed("f", created_utc=at(8)),
    )
    best = [("b", []), ("lost1", [("lost11", [])]), ("a", [("a2", [("a21", [])]), ("a1", [])]), ("f", [])]
    body = await get(client, PATH)
    assert (body["view"], ids(body["items"]), body["next"]) == ("tree", best, None)
    assert body["items"][2]["num_replies"] == 2
    assert ids(await walk(client, PATH, page_size=1)) == best
    old = [("a", [("a1", []), ("a2", [("a21", [])])]), ("b", []), ("lost1", [("lost11", [])]), ("f", [])]
    assert ids(await walk(client, PATH, sort="old", page_size=2)) == old
    # The parent arrives: its reply is no longer at the top.
    await put(pool, comment("lost", score=4, created_utc=at(5)))
    assert ("lost", [("lost1", [("lost11", [])])]) in ids((await get(client, PATH))["items"])


async def test_random_trees_have_each_comment_once(client: httpx.AsyncClient, pool: Pool) -> None:
    rnd = random.Random(7)
    parents = {f"c{n}": f"t1_c{rnd.randrange(n)}" if n and rnd.random() < 0.8 else "t3_abc" for n in range(200)}
    rows = [
        comment(id_, parent_id=parent, score=rnd.randint(-5, 50), created_utc=at(rnd.random()))
        for id_, parent in parents.items()
    ]
    rnd.shuffle(rows)
    await put(pool, *rows)

    def edges(trees: list[dict[str, Any]], parent: str) -> Iterator[tuple[str, str]]:
        for node in trees:
            yield node["id"], parent
            assert node["num_replies"] == len(node["replies"])
            scores = [reply["score"] for reply in node["replies"]]
            assert scores == sorted(scores, reverse=True)
            yield from edges(node["replies"], f"t1_{node['id']}")

    found = list(edges(await walk(client, PATH, page_size=7), "t3_abc"))
    assert len(found) == len(parents)
    assert dict(found) == parents


async def test_answers_beyond_the_bound_are_left_out_the_deepest_first_and_counted(
    client: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comment_list, "MOST_REPLIES", 3)
    chain = [comment(f"c{n}", parent_id=f"t1_c{n - 1}" if n else "t3_abc") for n in range(6)]
    await put(pool, *chain, comment("d", parent_id="t1_c0"))
    (tree,) = (await get(client, PATH, sort="old"))["items"]
    assert ids([tree]) == [("c0", [("c1", [("c2", [])]), ("d", [])])]
    (cut,) = tree["replies"][0]["replies"]
    assert cut["num_replies"] == 1


async def test_a_chain_deeper_than_json_can_be_is_cut(client: httpx.AsyncClient, pool: Pool) -> None:
    await put(pool, *(comment(f"c{n}", parent_id=f"t1_c{n - 1}" if n else "t3_abc") for n in range(300)))
    (node,) = (await get(client, PATH))["items"]
    levels = 0
    while node["replies"]:
        (node,) = node["replies"]
        levels += 1
    assert (levels, node["num_replies"]) == (comment_list.MOST_LEVELS, 1)


async def test_only_a_post_that_is_not_known_is_not_found(
    client: httpx.AsyncClient, pool: Pool, database_url: str
) -> None:
    assert (await client.get(PATH)).status_code == 404
    await put(pool, comment("c1"))
    assert len((await get(client, PATH))["items"]) == 1
    await store(database_url, {"id": "silent"})
    assert (await get(client, "/api/posts/silent/comments/"))["items"] == []


async def test_a_cursor_of_another_walk_is_refused(client: httpx.AsyncClient, pool: Pool) -> None:
    await put(pool, comment("a"), comment("b"))
    cursor = (await get(client, PATH, view="flat", page_size=1))["next"]
    for path, parameters in (
        (PATH, {"view": "flat", "sort": "new"}),
        (PATH, {"view": "tree"}),
        ("/api/posts/other/comments/", {"view": "flat"}),
        ("/api/comments/", {}),
    ):
        answer = await client.get(path, params=parameters | {"cursor": cursor})
        assert (answer.status_code, "cursor" in answer.text) == (422, True)
    answer = await client.get(PATH, params={"order": "best"})
    assert answer.status_code == 422


async def test_comments_are_found_by_author_subreddit_and_words(client: httpx.AsyncClient, pool: Pool) -> None:
    await put(
        pool,
        comment("a", author="Ann", body="Rockets were launched", created_utc=at(1)),
        comment("b", author="bob", body="to be or not to be", created_utc=at(2), post_id="def"),
        comment("c", author="ANN", body="\u7cfb\u7d71\u5f88\u597d :-)", created_utc=at(3)),
    )
    await put(pool, comment("d", author="ann", body=None, removed_by="deleted", created_utc=at(4)), subreddit="Rust")

    async def found(**filters: Any) -> tuple[list[str], str | None]:
        items = await walk(client, "/api/comments/", page_size=1, **filters)
        body = await get(client, "/api/comments/", **filters)
        assert [item["id"] for item in items] == [item["id"] for item in body["items"]]
        return [item["id"] for item in items], body["search"]

    assert await found() == (["d", "c", "b", "a"], None)
    assert await found(author="ann") == (["d", "c", "a"], None)
    assert await found(subreddit="RUST") == (["d"], None)
    assert await found(subreddit=["rust", "Python"], author="bob") == (["b"], None)
    assert await found(q="rocket launch") == (["a"], "english")
    assert await found(q="to be") == (["b"], "simple")
    assert await found(q="\u7d71\u5f88") == (["c"], "english")
    assert await found(q=":-)") == (["c"], "substring")
    assert await found(q="rocket -launch") == ([], "english")
    assert await found(q="rocket", author="bob") == ([], "english")
    assert await found(q="author:ann rockets -subreddit:rust") == (["a"], "english")
    assert await found(q="author:bob OR subreddit:rust") == (["d", "b"], None)
    assert await found(q="kind:post") == ([], None)
    answer = await client.get("/api/comments/", params={"q": "score>many"})
    assert (answer.status_code, answer.json()["errors"][0]["position"]) == (422, 6)


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "comments_newest"),
        ({"author": "author11"}, "comments_of_author"),
        ({"subreddits": ("python",)}, "comments_of_subreddit"),
        ({"words": '"word 1111"'}, "comments_words"),
    ],
)
async def test_every_filter_has_an_index(pool: Pool, filters: dict[str, Any], index: str) -> None:
    await pool.execute("""
INSERT INTO comments (id, post_id, parent_id, subreddit, author, body, created_utc, first_seen_at, observed_at,
    sentiment_basis)
SELECT 'c' || n, 'p' || n / 50, 't3_p' || n / 50, 'sub' || n % 500, 'Author' || n % 3000, 'some word ' || n,
    now() - n * interval '1 s', now(), now(), 'not_english' FROM generate_series(1, 20000) AS n""")
    await pool.execute("ANALYZE comments")
    asked: list[tuple[str, tuple[Any, ...]]] = []

    class Reads:
        async def fetch(self, statement: str, *parameters: Any, **_: Any) -> list[Any]:
            asked.append((statement, parameters))
            return await pool.fetch(statement, *parameters)

    await comment_list.newest_comments(Reads(), comment_list.CommentFilters(**filters), limit=20)  # type: ignore[arg-type]
    statement, parameters = asked[-1]
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {statement}", *parameters))
    assert index in plan


async def test_a_post_tells_the_sentiment_of_its_comments_beside_that_of_its_title(
    client: httpx.AsyncClient, pool: Pool, database_url: str
) -> None:
    await store(database_url, {"id": "abc"})
    assert (await get(client, "/api/posts/abc/"))["comment_sentiment"] is None
    await put(pool, comment("gone", body=None, author=None), comment("x", post_id="other", body="1234"))
    assert (await get(client, "/api/posts/abc/"))["comment_sentiment"] is None
    # The score of a text of length n is (n % 5) / 4 - 0.5.
    await put(pool, *(comment(f"c{length}", body="x" * length) for length in (1, 3, 4)))
    told = (await get(client, "/api/posts/abc/"))["comment_sentiment"]
    assert told == {"count": 3, "mean": pytest.approx((-0.25 + 0.25 + 0.5) / 3)}


async def test_the_mood_of_a_discussion_is_told_by_stretches_of_time(
    client: httpx.AsyncClient, pool: Pool, database_url: str
) -> None:
    path = "/api/posts/abc/comments/sentiment/"
    assert (await client.get(path)).status_code == 404
    await store(database_url, {"id": "abc"})
    assert await get(client, path) == {"id": "abc", "step_seconds": None, "items": []}
    written = [(0, 1), (0.5, 3), (3, 4), (98, 2)]
    await put(pool, *(comment(f"c{n}", body="x" * n, created_utc=at(minutes)) for minutes, n in written))
    mood = await get(client, path)
    assert mood["step_seconds"] == 60
    told = [(datetime.fromisoformat(each["bucket"]), each["count"], each["mean"]) for each in mood["items"]]
    assert told == [(at(0), 2, 0.0), (at(3), 1, 0.5), (at(98), 1, 0.0)]
    await put(pool, comment("late", body="x", created_utc=at(60 * 24)))
    assert (await get(client, path))["step_seconds"] == 900
