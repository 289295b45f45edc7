"""Signals over HTTP: pages, filters, one with its posts and numbers, on a real database."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import signals as signals_command
from signalflow.storage.erasure import erase_post
from signalflow.storage.pool import Pool
from signalflow.storage.signals import SignalFilter, page_statement
from signalflow.storage.writer import write_batch
from tests.integration.signal_rows import burst, minutes, signal, store_signals, viral
from tests.integration.storage_rows import NOON, features, observation, pool_of


async def listed(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await client.get("/api/signals/", params=parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


async def test_a_signal_says_where_what_since_when_how_sure_and_why(pool: Pool, client: httpx.AsyncClient) -> None:
    titled = {"title": "Asyncio without the GIL", "nlp": features(0, "asyncio", "gil"), "current_score": 480}
    await write_batch(pool, [observation("abc", **titled)])
    await store_signals(pool, viral("abc"))
    (item,) = (await listed(client))["items"]
    assert datetime.fromisoformat(item["started_at"]) == NOON
    assert (item["kind"], item["subject"], item["subreddit"], item["ended_at"]) == ("viral", "abc", "python", None)
    assert (item["strength"], item["observed"], item["expected"]) == (0.739, 480, 2300)
    assert item["inputs"]["log_odds_velocity"] is None
    assert item["keywords"] == ["asyncio", "gil"]
    assert item["sentence"] == (
        "r/python: a post about asyncio and gil with 480 points after 2 hours is 73 % likely to be among the best 1 % "
        "of r/python (2,300 points or more)."
    )
    assert (item["how_sure"], item["why"]) == (
        "73 % likely",
        "For it: its score beside those of other posts of its age.",
    )


async def test_pages_repeat_and_leave_out_nothing_where_many_begin_at_once(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    at_once = [viral(f"a{number}") for number in range(5)]
    others = [viral("before", started_at=NOON - minutes(1)), viral("after", started_at=NOON + minutes(1))]
    await store_signals(pool, *at_once, *others)
    walked: list[str] = []
    page = await listed(client, page_size=2)
    while True:
        walked += ids(page)
        if page["next"] is None:
            break
        # What begins meanwhile moves no page.
        await store_signals(pool, viral(f"new{len(walked)}", started_at=NOON + minutes(60)))
        page = await listed(client, page_size=2, cursor=page["next"])
    assert walked == ["viral-after", *(f"viral-a{number}" for number in range(4, -1, -1)), "viral-before"]


async def test_filters_hold_together(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_signals(
        pool,
        viral("a", strength=0.9),
        viral("b", strength=0.5, started_at=NOON - minutes(10), subreddit="Rust", ended_at=NOON),
        signal("u", started_at=NOON - minutes(20)),
        signal("v", started_at=NOON - minutes(30), subject="rust", subreddit="Rust", ended_at=NOON),
        signal("burst-x", kind="burst", subject_kind="term", subject="x", subreddit=None, ended_at=NOON),
        # Its subreddit is no longer observed, so nothing tells its end.
        signal("w", started_at=NOON - minutes(4 * 24 * 60), subject="news", subreddit="news"),
    )
    found = {
        "kind": ids(await listed(client, kind="viral")),
        "kinds": ids(await listed(client, kind=["viral", "burst"])),
        "subreddit in any case": ids(await listed(client, subreddit="RUST")),
        "subreddits": ids(await listed(client, subreddit=["rust", "python"], kind="unusual_here")),
        "subject": ids(await listed(client, subject="a")),
        "active": ids(await listed(client, active=True)),
        "time": ids(await listed(client, since=(NOON - minutes(20)).isoformat(), until=NOON.isoformat())),
        "strength": ids(await listed(client, kind="viral", min_strength=0.6)),
    }
    assert found == {
        "kind": ["viral-a", "viral-b"],
        "kinds": ["viral-a", "burst-x", "viral-b"],
        "subreddit in any case": ["viral-b", "v"],
        "subreddits": ["u", "v"],
        "subject": ["viral-a"],
        "active": ["viral-a", "u"],
        "time": ["viral-b", "u"],
        "strength": ["viral-a"],
    }


@pytest.mark.parametrize(
    ("parameters", "name", "told"),
    [
        ({"kind": "odd"}, "kind.0", "must be"),
        ({"min_strength": 0.5}, "min_strength", "needs exactly one kind"),
        ({"min_strength": 0.5, "kind": ["viral", "burst"]}, "min_strength", "needs exactly one kind"),
        ({"since": NOON.isoformat(), "until": (NOON - minutes(1)).isoformat()}, "until", "must not be before since"),
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
    answer = await client.get("/api/signals/", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == name
    assert told in fault["message"]


async def test_a_cursor_of_other_filters_is_refused(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_signals(pool, viral("a"), viral("b"))
    cursor = (await listed(client, page_size=1))["next"]
    assert ids(await listed(client, page_size=2, cursor=cursor)) == ["viral-a"]
    assert (await client.get("/api/signals/", params={"kind": "viral", "cursor": cursor})).status_code == 422


async def test_an_unknown_signal_is_a_404_that_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/signals/viral-nothing/")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "There is no signal viral-nothing: it was never found, or is no longer kept."


async def test_a_subreddits_signal_has_its_posts_their_subject_and_a_day_of_numbers(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    started = NOON + minutes(600)
    posts = [
        observation(f"p{number}", 600 * 60, created_utc=started - minutes(number), nlp=features(0, *words),
                    current_score=score, subreddit="Python")
        for number, (words, score) in enumerate([(["gil", "x"], 5), (["gil"], None), (["y", "gil"], 90), ([], 1)])
    ]  # fmt: skip
    elsewhere = observation("q", created_utc=started - minutes(1), subreddit="rust")
    await write_batch(pool, [*posts, elsewhere])
    about = [*(f"p{number}" for number in range(4)), "unknown"]
    await store_signals(pool, signal("u", started_at=started, ended_at=started + minutes(30), post_ids=about))
    answer = await client.get("/api/signals/u/")
    assert answer.headers["cache-control"] == "private, no-cache"
    told = answer.json()
    assert [(post["id"], post["current_score"]) for post in told["posts"]] == [
        ("p2", 90), ("p0", 5), ("p3", 1), ("p1", None),
    ]  # fmt: skip
    assert told["keywords"] == ["gil"]
    assert told["sentence"].startswith("r/python: 12 posts in 15 minutes, 4 times its usual number for a ")
    assert told["why"] == "3 posts are usual then, give or take 1.5."
    series = told["series"]
    assert (series["unit"], len(series["items"])) == ("posts", 96)
    end = started + minutes(30) + timedelta(hours=3)
    assert datetime.fromisoformat(series["items"][-1]["at"]) == end - minutes(15)
    by_time = {datetime.fromisoformat(item["at"]): item for item in series["items"]}
    assert {at: item["value"] for at, item in by_time.items() if item["value"]} == {
        started - minutes(15): 3,
        started: 1,
    }
    # Two standard deviations of 1.5 about 3.
    assert (by_time[started]["expected"], by_time[started]["low"], by_time[started]["high"]) == (3, 0, 6)
    assert by_time[started - minutes(30)]["expected"] is None


async def test_a_posts_signal_has_its_scores_with_what_they_are_compared_with(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    seen = [(0, 10), (60, 20), (16 * 60, 80)]
    await write_batch(
        pool, [observation("abc", seconds, current_score=score, created_utc=NOON) for seconds, score in seen]
    )
    of_age = {
        "kind": "unusual_here",
        "expected": 10.0,
        "inputs": {"age_seconds": 960.0, "log_mean": 2.3, "log_sd": 0.5},
    }
    await store_signals(
        pool, viral("abc"), viral("abc", id="unusual_here-abc", changed_at=NOON + minutes(17), **of_age)
    )
    best = (await client.get("/api/signals/viral-abc/")).json()["series"]
    assert best["unit"] == "score"
    assert [(item["value"], item["expected"]) for item in best["items"]] == [(20, 2300), (80, 2300)]
    usual = (await client.get("/api/signals/unusual_here-abc/")).json()["series"]["items"]
    assert [item["expected"] for item in usual] == [None, 10]
    # e to the power of two standard deviations of 0.5, each way.
    assert (usual[1]["low"], usual[1]["high"]) == (pytest.approx(10 / 2.718, abs=0.01), pytest.approx(27.18, abs=0.01))


async def test_what_was_erased_is_in_no_sentence_and_no_list(pool: Pool, client: httpx.AsyncClient) -> None:
    await write_batch(pool, [observation("abc", title="A secret", nlp=features(0, "secret"))])
    await store_signals(pool, viral("abc"))
    assert "a post about secret" in (await listed(client))["items"][0]["sentence"]
    await erase_post(pool, "abc", who="test")
    told = (await client.get("/api/signals/viral-abc/")).json()
    assert "secret" not in str(told).lower()
    assert (told["keywords"], told["posts"][0]["title"]) == ([], "")


async def test_a_burst_tells_its_term_while_a_post_that_has_it_is_stored(pool: Pool, client: httpx.AsyncClient) -> None:
    await store_signals(pool, burst(post_ids=["a1", "a2", "a3"]), burst("election"))
    (told, _) = (await listed(client))["items"]
    # Nothing is stored yet, so nobody knows what the posts say.
    assert (told["term"], told["sentence"]) == (
        None,
        "A term: 9 posts in an hour where 0.3 are usual, in 4 subreddits.",
    )
    await write_batch(
        pool,
        [
            observation("a1", subreddit="Space", nlp=features(0, "nasa", "rocket launch")),
            observation("a2", subreddit="Space", nlp=features(0, "rocket launch")),
            observation("a3", subreddit="news", nlp=features(0, "rocket")),
        ],
    )
    (told,) = (await listed(client, subject="Rocket launch"))["items"]
    assert (told["term"], told["how_sure"]) == ("rocket launch", "1 in 50,000 by chance")
    assert told["sentence"] == (
        "“rocket launch”: 9 posts in an hour where 0.3 are usual, in r/Space and 3 other subreddits."
    )
    assert ids(await listed(client, subject=told["subject"])) == [told["id"]]
    await erase_post(pool, "a1", who="test")
    await erase_post(pool, "a2", who="test")
    one = (await client.get(f"/api/signals/{told['id']}/")).json()
    assert one["term"] is None
    assert one["sentence"].startswith("A term of erased posts: 9 posts in an hour")
    assert "launch" not in str(one)


async def test_a_signal_of_a_post_that_is_not_stored_yet_is_shown_without_it(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    await store_signals(pool, viral("abc"))
    told = (await client.get("/api/signals/viral-abc/")).json()
    assert (told["posts"], told["keywords"], told["series"]["items"]) == ([], [], [])
    assert told["sentence"].startswith("r/python: a post with 480 points")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (SignalFilter(), "signals_newest"),
        (SignalFilter(active_only=True), "signals_active"),
        (SignalFilter(subreddits=["Sub7"]), "signals_of_subreddit"),
        (SignalFilter(subject="p7"), "signals_of_subject"),
        (SignalFilter(since=NOON - timedelta(days=1)), "signals_newest"),
    ],
)
async def test_each_page_reads_little_by_an_index(pool: Pool, wanted: SignalFilter, index: str) -> None:
    await pool.execute(
        """INSERT INTO signals SELECT 'viral-p' || n, 'viral', 1, 'post', 'p' || n, 'Sub' || n % 200,
            $1::timestamptz - n * interval '5 min', $1, CASE WHEN n % 100 > 0 THEN $1 END, $1, 0.5, 1, 1, '{}', '{}',
            't', 0, n FROM generate_series(1, 20000) AS n""",
        NOON,
    )
    await pool.execute("VACUUM ANALYZE signals")
    statement, parameters = page_statement(wanted, (NOON - minutes(100), "viral-p9"), 21)
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {statement}", *parameters))
    assert index in plan, plan
    assert "Seq Scan" not in plan


def signalflow(*arguments: str) -> Result:
    app = Typer()
    signals_command.register(app)
    return CliRunner().invoke(app, arguments)


def test_the_command_says_each_signal_and_takes_the_filters_of_the_api(database: str) -> None:
    nothing = signalflow()
    assert (nothing.exit_code, nothing.output) == (
        0,
        "no signal: the posts of a subreddit must be known for two hours back before anything is unusual there\n",
    )

    async def store() -> None:
        async with await pool_of(database) as pool:
            words = features(0, "[bold] asyncio")
            await write_batch(pool, [observation("abc", nlp=words)])
            await store_signals(
                pool, viral("abc"), signal("u", started_at=NOON - minutes(5), ended_at=NOON, subreddit="Python")
            )

    asyncio.run(store())
    first, second = signalflow().output.splitlines()[1:]
    assert ("goes on" in first, "73 % likely" in first) == (True, True)
    assert "r/python: a post about [bold] asyncio with 480 points" in first
    assert f"{NOON:%Y-%m-%d %H:%M}" in second.split("unusual_here")[0]
    (only,) = json.loads(signalflow("--json", "--active", "--subreddit", "r/PYTHON", "--since", str(NOON)).output)[
        "items"
    ]
    assert (only["id"], only["keywords"], only["how_sure"]) == ("viral-abc", ["[bold] asyncio"], "73 % likely")
    strong = signalflow("--json", "--kind", "unusual_here", "--min-strength", "5", "--most", "1").output
    assert [one["id"] for one in json.loads(strong)["items"]] == ["u"]
    assert json.loads(signalflow("--json", "--subject", "nothing").output) == {"items": []}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--kind", "odd"), "is not one of viral, unusual_here, burst"),
        (("--min-strength", "1"), "needs exactly one --kind"),
        (("--since", "yesterday"), "ISO 8601"),
    ],
)
def test_the_command_names_what_is_wrong(arguments: tuple[str, ...], says: str) -> None:
    refused = signalflow(*arguments)
    assert (refused.exit_code, says in " ".join(refused.output.replace("│", " ").split())) == (2, True)
