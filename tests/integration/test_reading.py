"""Reads over HTTP: the post list with every filter, and a post with its text and history."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from signalflow.clock import utcnow
from signalflow.domain.search import Search, words_of
from signalflow.events import Rank
from signalflow.storage import migrate
from signalflow.storage.known import mark_not_shown
from signalflow.storage.pool import Pool
from signalflow.storage.search import web_search
from signalflow.storage.writer import write_batch
from tests.integration.posts_api import api_of, store
from tests.integration.storage_rows import features, observation, pool_of
from tests.searches import ONLY_ONE_WAY, SEARCHES

PROBLEM = "application/problem+json"


async def ids(client: httpx.AsyncClient, **parameters: Any) -> list[str]:
    answer = await client.get("/api/posts/", params=parameters)
    assert answer.status_code == 200, answer.text
    return [post["id"] for post in answer.json()["items"]]


BASE = utcnow().astimezone(UTC).replace(microsecond=0) - timedelta(hours=5)
# Each filter finds one post and not the others. `q` has another form of the word.
FOUND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "subreddit": ({"subreddit": "Rust"}, {"subreddit": "rust"}),
    "author": ({"author": "Ada"}, {"author": "ada"}),
    "q": ({"title": "Rockets are launching"}, {"q": "rocket launch"}),
    "phrase": ({"title": "a moon of green cheese"}, {"q": '"green cheese" -blue'}),
    "keyword": ({"nlp": features(0.0, "stable diffusion")}, {"keyword": "Stable Diffusion"}),
    "min_score": ({"current_score": 500}, {"min_score": 500}),
    "trending": ({"is_trending": True}, {"trending": True}),
    "over_18": ({"over_18": True}, {"over_18": True}),
    "min_sentiment": ({"nlp": features(0.9)}, {"min_sentiment": 0.9}),
    "max_sentiment": ({"nlp": features(-0.9)}, {"max_sentiment": -0.9}),
    "created_from": (
        {"created_utc": BASE + timedelta(hours=4)},
        {"created_from": (BASE + timedelta(hours=4)).isoformat()},
    ),
    "created_to": ({"created_utc": BASE - timedelta(hours=4)}, {"created_to": (BASE - timedelta(hours=3)).isoformat()}),
}


async def test_every_filter_gives_what_it_says_and_leaves_out_the_rest(
    database_url: str, client: httpx.AsyncClient
) -> None:
    plain = {"created_utc": BASE, "nlp": features(0.0)}
    await store(database_url, *({"id": f"p{n}", **plain} for n in range(3)))
    await store(database_url, *({"id": f"is{n}", **plain, **row} for n, (row, _) in enumerate(FOUND.values())))
    for n, (name, (_, parameters)) in enumerate(FOUND.items()):
        assert await ids(client, **parameters) == [f"is{n}"], name
    everything = await ids(client)
    assert len(everything) == 3 + len(FOUND)
    assert set(await ids(client, trending=False)) == set(everything) - {f"is{list(FOUND).index('trending')}"}
    assert set(await ids(client, subreddit=["RUST", "python"])) == set(everything)
    assert await ids(client, subreddit="rust", min_score=2) == []


async def test_posts_that_reddit_no_longer_shows_say_since_when_and_can_be_chosen_or_left_out(
    database_url: str, pool: Pool, client: httpx.AsyncClient
) -> None:
    since = BASE + timedelta(hours=1)
    await store(database_url, *({"id": name, "observed_at": BASE, "first_seen_at": BASE} for name in "abc"))
    await mark_not_shown(pool, {"b": since})
    assert [await ids(client, **chosen) for chosen in ({}, {"shown": True}, {"shown": False})] == [
        ["c", "b", "a"], ["c", "a"], ["b"],
    ]  # fmt: skip
    listed = (await client.get("/api/posts/", params={"shown": False})).json()["items"][0]
    alone = (await client.get("/api/posts/b/")).json()
    assert [datetime.fromisoformat(post["not_shown_since"]) for post in (listed, alone)] == [since, since]
    assert (await client.get("/api/posts/a/")).json()["not_shown_since"] is None
    await store(database_url, {"id": "b", "observed_at": since + timedelta(seconds=1)})
    assert await ids(client, shown=False) == []


TEXTS: dict[str, tuple[str, str | None]] = {
    "band": ("The Who and the The", None),
    "station": ("高山の小さな駅で猫を見つけた", None),
    "body": ("A plain title", "The ferry leaves at noon. 渡し船は正午に出る"),
    "german": ("Warum ist der Fluss so kalt und wo ist die Brücke", None),
    "thai": ("แมวนอนบนเก้าอี้", None),
    "korean": ("서울에서 고양이를 보았다", None),
    "languages": ("C++ or C# or .NET for the timetable", None),
    "rocket": ("To the moon 🚀🚀", None),
}


@pytest.mark.parametrize(
    ("q", "found", "search"),
    [
        ("the who", ["band"], "simple"),
        ('"the who"', ["band"], "simple"),
        ('"who the"', [], "simple"),
        ("what was", [], "simple"),
        ("猫", ["station"], "english"),
        ("猫 駅", ["station"], "english"),
        ("小さな駅", ["station"], "english"),
        ("駅小", [], "english"),
        ("-猫 駅", [], "english"),
        ('"駅で猫"', ["station"], "english"),
        ("正午", ["body"], "english"),
        ("แมว", ["thai"], "english"),
        ("고양이", ["korean"], "english"),
        ("ferries", ["body"], "english"),
        ("plain ferry", ["body"], "english"),
        ("Brücke", ["german"], "english"),
        ("++ or", ["languages"], "simple"),
        ("++", ["languages"], "substring"),
        ("%", [], "substring"),
    ],
)
async def test_words_are_found_in_titles_and_bodies_of_any_script_and_the_answer_says_how(
    database_url: str, client: httpx.AsyncClient, q: str, found: list[str], search: str
) -> None:
    await store(database_url, *({"id": name, "title": title, "body": body} for name, (title, body) in TEXTS.items()))
    answer = (await client.get("/api/posts/", params={"q": q})).json()
    assert ([post["id"] for post in answer["items"]], answer["search"]) == (found, search)


async def test_what_is_no_word_is_looked_for_in_the_newest_posts_only(
    database_url: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {"id": "older", "title": "C++ is older", "created_utc": utcnow() - timedelta(hours=2)}
    await store(database_url, older, {"id": "newer", "title": "C++ is newer", "created_utc": utcnow()})
    assert set(await ids(client, q="++")) == {"older", "newer"}
    monkeypatch.setattr("signalflow.storage.post_filters.MOST_SEARCHED_POSTS", 1)
    assert await ids(client, q="++") == ["newer"]


async def test_the_post_list_finds_the_titles_that_the_live_stream_finds_but_by_their_stems(
    database_url: str, client: httpx.AsyncClient
) -> None:
    cases = [*SEARCHES, *((search, title, not is_met) for search, title, is_met in ONLY_ONE_WAY)]
    titles = list(dict.fromkeys(title for _, title, _ in cases))
    await store(database_url, *({"id": f"t{n}", "title": title} for n, title in enumerate(titles)))
    found = [f"t{titles.index(title)}" in await ids(client, q=search) for search, title, _ in cases]
    wrong = [case for case, is_found in zip(cases, found, strict=True) if case[2] is not is_found]
    assert wrong == []


# Whatever a person types or pastes. Each is met by those of these titles that the live stream sends too.
ODD_TITLES = ("Mars or the moon", "A - B", "It's a \\\\ day", "100% rocket", "猫" * 150, "🚀 launch", "café", "x")
ODD_SEARCHES = (
    "or", "OR", "OR OR", "-or", "or mars", "mars or", "mars or or moon", "-", "--", "- -", "-mars -moon", '"', '""',
    '" "', '-"', '"-"', "\\\\", "'", "''", "it's", "its", "&", "|", "!", "!mars", "<->", "mars <-> moon", "(", "mars)",
    ":*", "mars:*", "%", "_", "100%", "$1", "mars;", "猫" * 200, "🚀" * 200, "a" * 200, "-" * 200, '"' * 199, "(" * 200,
    "or " * 66, "caf\u00e9", "cafe\u0301", "\u0301", "\u200b", "\u2122", "\ufe0f", "½", "\u3000", "\u00a0mars",
    "\u202emars", "ＭＡＲＳ", "- " * 99, "-(" * 99, '-"' * 99, "-. " * 60, "-x " * 66, "x or " * 40, "x " * 100,
)  # fmt: skip


async def test_no_search_fails_and_each_finds_what_the_live_stream_finds(
    database_url: str, client: httpx.AsyncClient
) -> None:
    await store(database_url, *({"id": f"t{n}", "title": title} for n, title in enumerate(ODD_TITLES)))
    wrong = []
    for q in ODD_SEARCHES:
        answer = await client.get("/api/posts/", params={"q": q})
        assert answer.status_code == 200, (q, answer.text)
        search, found = Search(q), sorted(item["id"] for item in answer.json()["items"])
        wanted = [f"t{n}" for n, title in enumerate(ODD_TITLES) if search.is_met(title, words_of(title))]
        if found != wanted:
            wrong.append((q, answer.json()["search"], found, wanted))
    assert wrong == []


async def test_a_search_with_nul_is_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/posts/", params={"q": "mars\0moon"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "q")


async def test_a_wrong_query_is_refused_with_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/posts/", params={"q": "mars subredit:python"})
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["parameter"], fault["position"]) == (422, "q", 5)
    assert fault["message"].startswith("there is no field subredit (did you mean subreddit?)")
    assert fault["message"].endswith("\nmars subredit:python\n     ^")


async def test_a_title_of_the_version_before_is_found_by_its_folded_words_after_the_upgrade(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, upgrade = make_database(), migrate.command.upgrade
    with monkeypatch.context() as before:
        before.setattr(migrate.command, "upgrade", lambda config, _: upgrade(config, "0018"))
        await migrate.upgrade(url)
    async with await pool_of(url) as pool:
        for id_, title in (("old", "Pokémon don’t fly"), ("ascii", "Trains run")):
            await pool.execute(
                "INSERT INTO posts (id, subreddit, title, over_18, is_self, created_utc, first_seen_at, last_polled_at,"
                " trending_score, is_trending) VALUES ($1, 'x', $2, false, true, now(), now(), now(), 0, false)",
                id_, title,
            )  # fmt: skip
        found = "SELECT post_id FROM post_words WHERE words @@ websearch_to_tsquery('english', $1)"
        assert await pool.fetchval(found, web_search("Pokémon")) is None
        await migrate.upgrade(url)
        assert await pool.fetchval(found, web_search("Pokémon")) == await pool.fetchval(found, "pokemon") == "old"
        assert await pool.fetchval(found, "train") == "ascii"


async def test_an_unknown_score_is_null_comes_last_and_passes_no_limit(
    database_url: str, client: httpx.AsyncClient
) -> None:
    await store(
        database_url,
        {"id": "low", "current_score": -500},
        {"id": "none", "current_score": None, "mode": "backfill", "author": "ada"},
        {"id": "zero", "current_score": 0, "current_comments": 0},
    )
    post = (await client.get("/api/posts/none/")).json()
    assert [post[name] for name in ("current_score", "engagement_score", "momentum")] == [None, None, None]
    for order in ("score", "engagement", "momentum"):
        window = {} if order == "score" else {"window": "7d"}
        assert await ids(client, order=order, **window) == ["zero", "low", "none"], order
        first = await client.get("/api/posts/", params={"order": order, **window, "page_size": 2})
        rest = await client.get(
            "/api/posts/", params={"order": order, **window, "page_size": 2, "cursor": first.json()["next"]}
        )
        assert rest.status_code == 200, (order, rest.text)
        assert [item["id"] for item in rest.json()["items"]] == ["none"], order
    assert set(await ids(client, min_score=-(2**31))) == {"zero", "low"}
    stats = (await client.get("/api/stats", params={"window": "7d"})).json()
    assert (stats["overview"]["posts"], stats["overview"]["average_score"]) == (3, -250.0)
    assert [item["id"] for item in stats["most_upvoted"]] == ["zero", "low", "none"]


async def test_a_score_that_a_file_does_not_tell_replaces_no_number(
    database_url: str, client: httpx.AsyncClient
) -> None:
    unknown = {"current_score": None, "mode": "backfill"}
    await store(database_url, {"id": "a", "observed_at": BASE, "current_score": 7})
    await store(database_url, {"id": "a", "observed_at": BASE + timedelta(hours=1), "title": "newer", **unknown})
    await store(
        database_url,
        {"id": "b", "observed_at": BASE, "current_score": 8},
        {"id": "b", "observed_at": BASE + timedelta(hours=1), "title": "newer", **unknown},
    )
    for name, score in (("a", 7), ("b", 8)):
        post = (await client.get(f"/api/posts/{name}/")).json()
        assert (post["title"], post["current_score"]) == ("newer", score)


async def test_an_emoji_is_found(database_url: str, client: httpx.AsyncClient) -> None:
    """Whether it is a word depends on the locale of the database; it is found either way."""
    await store(database_url, {"id": "a", "title": "To the moon 🚀🚀"}, {"id": "b", "title": "To the moon"})
    assert await ids(client, q="🚀") == ["a"]


async def test_an_answer_without_a_search_names_none(database_url: str, client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/posts/")).json()["search"] is None


async def test_filters_and_order_together_keep_their_pages(database_url: str, client: httpx.AsyncClient) -> None:
    await store(database_url, *({"id": f"p{n}", "current_score": n, "over_18": n % 2 == 0} for n in range(9)))
    parameters: dict[str, Any] = {"order": "score", "over_18": "true", "page_size": 2}
    first = (await client.get("/api/posts", params=parameters)).json()
    second = (await client.get("/api/posts", params={**parameters, "cursor": first["next"]})).json()
    assert [post["id"] for post in first["items"] + second["items"]] == ["p8", "p6", "p4", "p2"]
    for change in ({"over_18": "false"}, {"order": "comments"}, {"min_score": 1}):
        answer = await client.get("/api/posts", params={**parameters, **change, "cursor": first["next"]})
        assert answer.status_code == 422
        assert [fault["parameter"] for fault in answer.json()["errors"]] == ["cursor"]


async def test_computed_numbers_follow_their_definitions(database_url: str, client: httpx.AsyncClient) -> None:
    created = utcnow() - timedelta(minutes=60)
    await store(database_url, {"id": "a", "current_score": 100, "current_comments": 11, "created_utc": created})
    for order in ("newest", "momentum"):
        ((post),) = (await client.get("/api/posts/", params={"order": order})).json()["items"]
        assert post["engagement_score"] == 122
        assert post["age_minutes"] == pytest.approx(60, abs=1)
        assert post["momentum"] == pytest.approx(122 / (post["age_minutes"] + 1), rel=1e-9)
        assert post["observed_at"] == post["last_polled_at"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/posts/?min_socre=3", "min_socre"),
        ("/api/posts/?window=2h", "window"),
        ("/api/posts/?order=momentum&window=8d", "window"),
        ("/api/posts/?order=momentum&window=soon", "window"),
        ("/api/posts/?order=hot", "order"),
        ("/api/posts/?min_score=3000000000", "min_score"),
        ("/api/posts/?min_sentiment=nan", "min_sentiment"),
        ("/api/posts/?created_from=2026-01-01T00:00:00", "created_from"),
        ("/api/posts/?created_from=0001-01-01T00:00:00%2B14:00", "created_from"),
        ("/api/posts/?q=%00", "q"),
        ("/api/posts/?subreddit=a%20b", "subreddit.0"),
        ("/api/posts/ABC%20/", "id"),
        ("/api/posts/abc/?full=1", "full"),
        ("/api/posts/abc/history/?interval=2h", "interval"),
        ("/api/posts/abc/history/?cursor=abc", "cursor"),
        ("/api/posts/abc/history/?page_size=2001", "page_size"),
        ("/api/stats/?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start"),
        ("/api/stats/?start=2026-01-01T00:00:00Z&end=2026-03-01T00:00:00Z", "start"),
        ("/api/stats/?start=2026-01-01T00:00:00Z&window=1h", "window"),
        ("/api/stats/?end=0001-01-01T00:00:00Z", "end"),
        ("/api/stats/?windw=1h", "windw"),
        ("/api/stats/?start=2026-01-01T00:00:00Z&created_from=2026-01-01T00:00:00Z", "start"),
        ("/api/stats/?created_from=2026-01-02T00:00:00Z&created_to=2026-01-01T00:00:00Z", "created_to"),
        ("/api/stats/?created_from=2026-01-01T00:00:00Z&created_to=2026-01-01T00:00:00Z", "created_from"),
        ("/api/stats/?author=", "author"),
        ("/api/stats/?min_score=3000000000", "min_score"),
        ("/api/keywords/?window=99d", "window"),
        ("/api/keywords/?created_from=2026-01-01T00:00:00Z&created_to=2026-03-01T00:00:00Z", "created_from"),
        ("/api/keywords/?created_from=2026-01-01T00:00:00Z&window=1h", "window"),
        ("/api/keywords/?q=%00", "q"),
        ("/api/tables/post_state/a-b", "id"),
        ("/api/tables/post_state/ab?x=1", "x"),
        ("/ready?x=1", "x"),
    ],
)
async def test_a_bad_parameter_is_a_422_that_names_it(client: httpx.AsyncClient, path: str, named: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [named]


async def test_one_post_has_its_text_and_another_is_a_404(database_url: str, client: httpx.AsyncClient) -> None:
    await store(database_url, {"id": "abc", "body": "the *text*", "title": "A title"})
    for path in ("/api/posts/abc/", "/api/posts/abc"):
        answer = await client.get(path)
        assert answer.status_code == 200
        post = answer.json()
        assert (post["id"], post["title"], post["body"]) == ("abc", "A title", "the *text*")
        assert post["nlp"]["keywords"] == ["A", "title"]
    for path in ("/api/posts/zzz/", "/api/posts/zzz/history/"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == PROBLEM


async def test_history_is_paged_and_its_hours_sum_up_the_observations(pool: Pool, client: httpx.AsyncClient) -> None:
    rows = [observation("abc", 1000 * n, current_score=n * n, score_velocity=n or None) for n in range(9)]
    await write_batch(pool, rows)
    seen: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"page_size": 4}
    while True:
        page = (await client.get("/api/posts/abc/history/", params=parameters)).json()
        seen += page["items"]
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]
    assert [item["score"] for item in seen] == [n * n for n in range(9)]
    assert [datetime.fromisoformat(item["observed_at"]) for item in seen] == [row.observed_at for row in rows]
    # Every 1000 s from the start of an hour: four, four and one, just stored, so not in the rollup yet.
    hours = (await client.get("/api/posts/abc/history", params={"interval": "1h"})).json()["items"]
    assert [(hour["observations"], hour["min_score"], hour["max_score"]) for hour in hours] == [
        (4, 0, 9),
        (4, 16, 49),
        (1, 64, 64),
    ]
    assert hours[1]["avg_score"] == (16 + 25 + 36 + 49) / 4
    other = await client.get("/api/posts/abc/history/", params={"interval": "1h", "cursor": parameters["cursor"]})
    assert other.status_code == 422


async def test_history_tells_the_ranks_of_the_time_of_each_page(pool: Pool, client: httpx.AsyncClient) -> None:
    def in_hot(rank: int) -> Rank:
        return Rank(post_sort="hot", listing="python", rank=rank)

    # A feed tells no numbers, so the observations 2, 5 and 8 have a rank alone.
    rows = [
        observation("abc", 60 * n, current_score=None if n % 3 == 2 else n, rank=in_hot(n) if n % 3 else None)
        for n in range(1, 10)
    ]
    await write_batch(pool, rows)
    seen: list[tuple[list[int], list[int]]] = []
    parameters: dict[str, Any] = {"page_size": 3}
    while True:
        page = (await client.get("/api/posts/abc/history/", params=parameters)).json()
        seen.append(([item["score"] for item in page["items"]], [rank["rank"] for rank in page["ranks"]]))
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]
    assert seen == [([1, 3, 4], [1, 2, 4]), ([6, 7, 9], [5, 7, 8])]
    first = (await client.get("/api/posts/abc/history/", params={"page_size": 1})).json()
    at = rows[0].observed_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert first["ranks"] == [{"observed_at": at, "post_sort": "hot", "listing": "python", "rank": 1}]
    hours = (await client.get("/api/posts/abc/history", params={"interval": "1h"})).json()
    assert "ranks" not in hours


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/api/posts/", "/api/posts/abc/", "/api/stats/", "/api/keywords/"]
)
async def test_head_answers_like_get_without_a_body(database_url: str, client: httpx.AsyncClient, path: str) -> None:
    await store(database_url, {"id": "abc"})
    answer, body = await client.head(path), await client.get(path)
    assert answer.status_code == body.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"] == body.headers["content-type"]


async def test_a_read_that_takes_too_long_is_a_503_that_says_so(database_url: str, pool: Pool) -> None:
    await store(database_url, {"id": "abc"})
    await pool.execute("ALTER TABLE posts RENAME TO stored")
    await pool.execute("CREATE VIEW posts AS SELECT * FROM stored WHERE pg_sleep(20) IS NOT NULL")
    async with api_of(database_url, read_timeout=0.3) as client:
        answer = await client.get("/api/stats/")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:signalflow:read-took-too-long"
