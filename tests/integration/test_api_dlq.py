"""Dead letters over HTTP and from the terminal, on real Kafka and PostgreSQL; no worker runs here."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from signalflow.cli import dlq as commands
from signalflow.dead_letters.replay import ReplayRequest, replay
from signalflow.errors import Retryable
from signalflow.events import DeadLetter
from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.storage.dead_letter_replays import recent_replays
from signalflow.storage.dead_letters import LetterFilter, NewLetter, letters_page, resolve_letters, store_letters
from tests.api_clients import bearer, test_secret
from tests.integration.workers import read_topic
from web.app import create_api

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOPIC_ID = UUID(int=7)
HOSTILE = b"<script>alert(1)</script> \x00 \xe2\x82\xac"


def letter(topic: str, offset: int, *, attempt: int = 1, whole: bool = True, **changes: Any) -> NewLetter:
    fields: dict[str, Any] = {
        "topic": topic, "partition": 0, "offset": offset, "key": f"k{offset}".encode(), "value": b"not json",
        "headers": (("trace", b"x"), ("attempt", b"9"), ("raw", b"\xff")), "stage": "validate", "error_type": "Invalid",
        "error": "no JSON", "worker": "w1", "failed_at": NOON + timedelta(seconds=offset), "topic_id": TOPIC_ID,
        "attempt": attempt,
    }  # fmt: skip
    return NewLetter(DeadLetter(**fields | changes), whole, None)


@pytest.fixture
def secured(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_secret": SecretStr(test_secret), "dlq_replay_most": 50})


@pytest.fixture
async def client(secured: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_api(secured)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=bearer(secured, "operator")
        ) as made,
    ):
        yield made


@pytest.fixture
async def raw(settings: Settings) -> str:
    await create_topics(settings)
    return TopicNames.of(settings).posts_raw


async def listed(client: httpx.AsyncClient, **parameters: Any) -> list[int]:
    answer = await client.get("/dlq/", params=parameters)
    assert answer.status_code == 200, answer.text
    return [item["offset"] for item in answer.json()["items"]]


async def test_letters_are_listed_by_filter_and_walked_page_by_page_while_new_ones_arrive(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    await store_letters(database_pool, [letter("raw", n) for n in range(5)])
    await store_letters(
        database_pool,
        [
            letter(
                "enriched", 7, stage="write", error_type="Defect", value=HOSTILE, key=b"\xff\xfe", topic_id=UUID(int=8)
            )
        ],
    )
    assert await listed(client) == [7, 4, 3, 2, 1, 0]
    assert await listed(client, topic="raw", since="2026-01-01T12:00:02Z", until="2026-01-01T12:00:04Z") == [3, 2]
    assert await listed(client, stage="write", error_type="Defect", state="dead") == [7]
    assert await listed(client, state="resolved") == []
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = (await client.get("/dlq", params={"page_size": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["offset"] for item in page["items"]]
        await store_letters(database_pool, [letter("raw", 100 + len(seen))])
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [7, 4, 3, 2, 1, 0]
    assert (await client.get("/dlq/", params={"cursor": "x1"})).status_code == 422
    assert (await client.get("/dlq/", params={"error_type": "\x00"})).json()["items"] == []


async def test_a_letter_shows_its_bytes_as_text_where_they_are_and_cut_where_they_are_long(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    long = "€".encode() * 30_000
    await store_letters(
        database_pool, [letter("raw", 1, value=HOSTILE, key=b"\xff\xfe", error="a\x00b"), letter("raw", 2, value=long)]
    )
    items = (await client.get("/dlq/")).json()["items"]
    one = (await client.get(f"/dlq/{items[1]['id']}/")).json()
    assert one["value"] == {"encoding": "text", "content": HOSTILE.decode(), "size": len(HOSTILE), "cut": False}
    assert one["key"] == {"encoding": "base64", "content": "//4=", "size": 2, "cut": False}
    assert [(header["name"], header["value"]["encoding"]) for header in one["headers"]] == [
        ("trace", "text"), ("attempt", "text"), ("raw", "base64"),
    ]  # fmt: skip
    assert one["error"] == "a\ufffdb"
    preview = items[0]["value"]
    assert (preview["content"], preview["cut"], preview["size"]) == ("€" * (500 // 3), True, len(long))
    missing = await client.get("/dlq/999999")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


async def test_readers_read_and_only_operators_replay_and_discard(
    client: httpx.AsyncClient, secured: Settings, database_pool: asyncpg.Pool
) -> None:
    await store_letters(database_pool, [letter("raw", 1)])
    client.headers.update(bearer(secured, "reader"))
    for path in ("/dlq", "/dlq/stats", "/dlq/stats/"):
        assert (await client.get(path)).status_code == 200
    number = (await client.get("/dlq/")).json()["items"][0]["id"]
    for path, body in (("replay", {}), (f"replay/{number}", {}), (f"resolve/{number}/", {"reason": "no"})):
        refused = await client.post(f"/dlq/{path}", json=body)
        assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    del client.headers["Authorization"]
    assert (await client.get("/dlq/")).status_code == 401


async def test_a_letter_is_discarded_once_with_a_reason_and_by_whom(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool, raw: str
) -> None:
    await store_letters(database_pool, [letter(raw, 1)])
    number = (await client.get("/dlq/")).json()["items"][0]["id"]
    assert (await client.post(f"/dlq/resolve/{number}", json={"reason": " "})).status_code == 422
    done = (await client.post(f"/dlq/resolve/{number}", json={"reason": "spam"})).json()
    assert (done["state"], done["resolved_by"], done["reason"]) == ("resolved", "test-operator", "spam")
    assert (await client.post(f"/dlq/resolve/{number}", json={"reason": "again"})).status_code == 409
    assert (await client.post(f"/dlq/replay/{number}")).status_code == 409
    noted = await database_pool.fetch("SELECT who, action, target FROM audit_log")
    assert [tuple(row) for row in noted] == [("test-operator", "dlq.resolve", str(number))]
    assert (await client.get("/dlq/stats")).json()["by_state"] == {
        "dead": 0, "replayed": 0, "dead_again": 0, "resolved": 1,
    }  # fmt: skip


async def test_a_replay_sends_the_original_bytes_once_bounded_and_only_what_can_be_sent(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool, settings: Settings, raw: str
) -> None:
    last = letter(raw, 4, attempt=settings.dlq_max_attempts)
    await store_letters(
        database_pool,
        [
            letter(raw, 1),
            letter(raw, 2),
            letter(raw, 3, whole=False),
            last,
            letter("foreign", 5),
            letter(raw, 6, key=None),
        ],
    )
    numbers = {item["offset"]: item["id"] for item in (await client.get("/dlq/")).json()["items"]}
    for offset, word in ((3, "whole"), (4, "attempts"), (5, "foreign")):
        refused = await client.post(f"/dlq/replay/{numbers[offset]}", json={})
        assert refused.status_code == 409
        assert word in refused.json()["detail"]
    dry = (await client.post("/dlq/replay", json={"dry_run": True})).json()
    assert (dry["outcome"], dry["ids"], dry["sent"]) == ("dry_run", [numbers[1], numbers[2], numbers[6]], 0)
    assert await read_topic(settings, raw) == []
    first = (await client.post("/dlq/replay/", json={"most": 1, "filter": {"stage": "validate"}})).json()
    assert (first["ids"], first["sent"], first["outcome"]) == ([numbers[1]], 1, "completed")
    assert (await client.post("/dlq/replay", json={"most": 51})).status_code == 422
    rest = (await client.post("/dlq/replay")).json()
    assert (rest["ids"], rest["sent"]) == ([numbers[2], numbers[6]], 2)
    assert (await client.post("/dlq/replay")).json()["ids"] == []
    records = {record.key: record for record in await read_topic(settings, raw)}
    assert set(records) == {None, b"k1", b"k2"}
    token = await database_pool.fetchval("SELECT replay_token FROM dlq_events WHERE id = $1", numbers[1])
    assert records[b"k1"].value == b"not json"
    assert records[b"k1"].headers == (
        ("trace", b"x"), ("raw", b"\xff"), ("attempt", b"2"), ("dlq_of", f"{numbers[1]}:{token}".encode()),
    )  # fmt: skip
    assert await listed(client, state="replayed") == [6, 2, 1]
    replays = (await client.get("/dlq/stats")).json()["replays"]
    assert [(one["requested_by"], one["sent"], one["outcome"]) for one in replays] == [
        ("test-operator", 0, "completed"), ("test-operator", 2, "completed"), ("test-operator", 1, "completed"),
    ]  # fmt: skip


async def test_of_replays_at_the_same_time_one_sends_each_letter(
    database_pool: asyncpg.Pool, settings: Settings, raw: str
) -> None:
    await store_letters(database_pool, [letter(raw, n) for n in range(120)])
    reports = await asyncio.gather(
        *(
            replay(database_pool, settings.model_copy(update={"dlq_replay_rate": 1000.0}), ReplayRequest(by=f"r{n}"))
            for n in range(3)
        )
    )
    assert sum(report.sent for report in reports) == 120
    assert len(await read_topic(settings, raw)) == 120


async def test_a_replay_whose_sender_died_before_noting_it_may_be_sent_twice_and_is_stored_once(
    database_pool: asyncpg.Pool,
) -> None:
    await store_letters(database_pool, [letter("raw", 1)])
    first, token = await database_pool.fetchrow("SELECT id, replay_token FROM dlq_events")
    forged = NewLetter(letter("raw", 50).letter, True, (first, UUID(int=1)))
    again = [NewLetter(letter("raw", offset).letter, True, (first, token)) for offset in (51, 52)]
    assert await store_letters(database_pool, [forged, *again]) == 2
    assert await store_letters(database_pool, again) == 0
    rows = await database_pool.fetch(
        "SELECT source_offset, attempt, previous_id, state FROM dlq_events ORDER BY source_offset"
    )
    assert [tuple(row) for row in rows] == [
        (1, 1, None, "replayed"), (50, 1, None, "dead"), (51, 2, first, "dead"),
    ]  # fmt: skip


async def test_without_brokers_nothing_counts_as_replayed(
    database_pool: asyncpg.Pool, settings: Settings, raw: str
) -> None:
    await store_letters(database_pool, [letter(raw, 1)])
    away = settings.model_copy(update={"kafka": "127.0.0.1:9"})
    report = await replay(database_pool, away, ReplayRequest(by="r"))
    assert (report.sent, report.outcome) == (0, "interrupted")
    assert await database_pool.fetchval("SELECT state FROM dlq_events") == "dead"
    assert await database_pool.fetchval("SELECT outcome FROM dlq_replays") == "interrupted"


async def test_a_replay_keeps_to_its_rate(database_pool: asyncpg.Pool, settings: Settings, raw: str) -> None:
    await store_letters(database_pool, [letter(raw, n) for n in range(10)])
    slow = settings.model_copy(update={"dlq_replay_rate": 5.0})
    began = asyncio.get_running_loop().time()
    assert (await replay(database_pool, slow, ReplayRequest(by="r"))).sent == 10
    assert asyncio.get_running_loop().time() - began >= 1.0, "the sixth is due one second after the first"


async def test_a_replay_that_cannot_learn_what_became_of_a_letter_ends_as_interrupted_and_says_so(
    database_pool: asyncpg.Pool, settings: Settings, raw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(pool: asyncpg.Pool, settings: Settings) -> None:
        raise Retryable("no offsets")

    monkeypatch.setattr("signalflow.dead_letters.replay.settle", away)
    await store_letters(database_pool, [letter(raw, n) for n in range(2)])
    report = await replay(database_pool, settings, ReplayRequest(by="r", policy="stop"))
    assert (report.sent, report.outcome) == (1, "interrupted")
    assert await database_pool.fetchval("SELECT outcome FROM dlq_replays") == "interrupted"


async def rows_read(pool: asyncpg.Pool) -> int:
    """Rows of dlq_events that this pool's one connection has read."""
    await pool.execute("SELECT pg_stat_force_next_flush()")
    read: int = await pool.fetchval(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'dlq_events'"
    )
    return read


async def test_what_was_resolved_long_ago_costs_those_nothing_who_look_for_what_is_open(
    database_pool: asyncpg.Pool,
) -> None:
    await store_letters(database_pool, [letter("raw", 0)])
    await database_pool.execute(
        "INSERT INTO dlq_replays (requested_by, filter, policy, most) "
        "SELECT 'r', '{}', 'stop', 1 FROM generate_series(1, 20)"
    )
    await database_pool.execute(
        """
        INSERT INTO dlq_events (topic_id, source_topic, source_partition, source_offset, attempt, original_headers,
            stage,
            error_type, error, worker, failed_at, state, replay_id)
        SELECT topic_id, source_topic, 0, n, 1, original_headers,
            stage, error_type, error, worker, failed_at, 'resolved',
            CASE WHEN n % 1000 = 0 THEN n / 1000 END
        FROM dlq_events, generate_series(1, 20000) AS n
        """
    )
    await database_pool.execute("VACUUM ANALYZE dlq_events")
    for state in ("dead", "replayed", "dead_again"):
        before = await rows_read(database_pool)
        wanted = LetterFilter(state=state)  # type: ignore[arg-type]
        found = await letters_page(database_pool, wanted, before=None, limit=50, value_bytes=1)
        assert len(found) == (state == "dead")
        assert await rows_read(database_pool) - before < 100, state
    before = await rows_read(database_pool)
    assert len(await recent_replays(database_pool, 20)) == 20
    assert await rows_read(database_pool) - before < 100


async def test_letters_of_one_cause_are_discarded_at_once_and_no_others(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool, raw: str
) -> None:
    wrong = [letter(raw, offset, stage="write") for offset in (1, 2, 3)]
    await store_letters(database_pool, [*wrong, letter(raw, 4), letter(raw, 5)])
    given = {"filter": {"stage": "write"}, "reason": "spam"}
    dry = (await client.post("/dlq/resolve", json={"filter": given["filter"], "dry_run": True})).json()
    assert (len(dry["ids"]), dry["resolved"]) == (3, 0)
    assert await database_pool.fetchval("SELECT count(*) FROM dlq_events WHERE state <> 'dead'") == 0
    first = (await client.post("/dlq/resolve/", json=given | {"most": 1})).json()
    assert first == {"ids": dry["ids"][:1], "resolved": 1}
    assert (await client.post("/dlq/resolve", json=given)).json() == {"ids": dry["ids"][1:], "resolved": 2}
    assert (await client.post("/dlq/resolve", json=given)).json() == {"ids": [], "resolved": 0}
    rows = await database_pool.fetch("SELECT state, resolved_by, resolution FROM dlq_events ORDER BY source_offset")
    assert [tuple(row) for row in rows[:3]] == [("resolved", "test-operator", "spam")] * 3
    assert [row["state"] for row in rows[3:]] == ["dead", "dead"]
    noted = await database_pool.fetch("SELECT target, details::text FROM audit_log ORDER BY id")
    assert [row["target"] for row in noted] == ["1 letters", "2 letters"]
    assert json.loads(noted[1]["details"]) == {"reason": "spam", "filter": {"stage": "write"}, "ids": dry["ids"][1:]}


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {}, "reason": "all of them"},
        {"reason": "all of them"},
        {"filter": {"stage": "write"}, "reason": " "},
        {"filter": {"stage": "write"}},
        {"filter": {"cause": "write"}, "reason": "spam"},
        {"filter": {"stage": "write"}, "reason": "spam", "most": 10_001},
    ],
)
async def test_discarding_without_a_filter_or_a_reason_is_refused(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool, raw: str, body: dict[str, Any]
) -> None:
    await store_letters(database_pool, [letter(raw, 1, stage="write")])
    assert (await client.post("/dlq/resolve", json=body)).status_code == 422
    assert await database_pool.fetchval("SELECT state FROM dlq_events") == "dead"


async def test_a_letter_that_is_being_replayed_is_left_to_its_replay(database_pool: asyncpg.Pool, raw: str) -> None:
    await store_letters(database_pool, [letter(raw, 1), letter(raw, 2)])
    wanted = LetterFilter(topic=raw)
    async with database_pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM dlq_events WHERE source_offset = 1 FOR NO KEY UPDATE")
        discarded = await resolve_letters(database_pool, wanted, by="me", reason="spam", most=10)
    rows = await database_pool.fetch("SELECT id, state FROM dlq_events ORDER BY source_offset")
    assert [row["state"] for row in rows] == ["dead", "resolved"]
    assert discarded == [rows[1]["id"]]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The commands against this test's servers."""
    monkeypatch.setattr(commands, "installation_settings", lambda: settings)
    app = typer.Typer()
    commands.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["dlq", *arguments])


async def test_the_commands_list_show_count_replay_and_discard(
    run: Callable[..., Result], database_pool: asyncpg.Pool, settings: Settings, raw: str
) -> None:
    async def ran(*arguments: str) -> tuple[int, Any]:
        result = await asyncio.to_thread(run, *arguments)
        return result.exit_code, json.loads(result.stdout) if "--json" in arguments else result.stdout

    assert await ran("stats", "--json") == (0, [])
    await store_letters(database_pool, [letter(raw, 1), letter(raw, 2, error="\x1b[31mred"), letter(raw, 3)])
    status, found = await ran("list", "--stage", "validate", "--since", "2026-01-01T12:00:02Z", "--json")
    assert (status, [one["source_offset"] for one in found]) == (0, [3, 2])
    third, second = found[0]["id"], found[1]["id"]
    assert "\x1b" not in (await ran("list"))[1]
    status, shown = await ran("show", str(second), "--json")
    assert (status, shown["value"], shown["headers"][2]) == (0, "not json", ["raw", "base64:/w=="])
    status, counted = await ran("stats", "--json")
    assert (status, counted[0]["letters"], counted[0]["state"]) == (1, 3, "dead")
    assert (await ran("resolve", str(third), "--reason", "spam"))[0] == 0
    assert (await ran("resolve", str(third), "--reason", "spam"))[0] == 1
    assert (await ran("replay", str(third)))[0] == 1
    status, planned = await ran("replay", "--dry-run", "--json")
    assert (status, planned["ids"], planned["sent"]) == (0, [second - 1, second], 0)
    status, sent = await ran("replay", "--error-type", "Invalid", "--json")
    assert (status, sent["sent"], sent["outcome"]) == (0, 2, "completed")
    assert len(await read_topic(settings, raw)) == 2
    assert (await ran("stats"))[0] == 0
    await store_letters(database_pool, [letter(raw, 4), letter(raw, 5)])
    assert (await ran("resolve", "--reason", "spam"))[0] == 2
    assert (await ran("resolve", str(second), "--topic", raw, "--reason", "spam"))[0] == 2
    assert (await ran("resolve", "--topic", raw))[0] == 2
    status, planned = await ran("resolve", "--topic", raw, "--dry-run", "--json")
    assert (status, len(planned["ids"]), planned["resolved"]) == (0, 2, 0)
    assert (await ran("stats"))[0] == 1
    assert (await ran("resolve", "--topic", raw, "--reason", "spam", "--json")) == (0, planned | {"resolved": 2})
    assert (await ran("stats"))[0] == 0


async def test_topics_and_ids_are_whole_on_a_narrow_terminal(
    run: Callable[..., Result], database_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = "production-europe-west." + "reddit.posts.raw" * 6
    await store_letters(database_pool, [letter(topic, 123_456_789)])
    monkeypatch.setenv("COLUMNS", "40")
    for command in ("list", "stats"):
        shown = (await asyncio.to_thread(run, command)).stdout
        assert topic in shown
    assert f"{topic}[0]@123456789" in (await asyncio.to_thread(run, "list")).stdout
