"""Alerts over HTTP: rules, targets, what was sent, and feeds, on a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree

import httpx
import pytest
from fastapi import FastAPI
from standardwebhooks import Webhook

from signalflow.clock import utcnow
from signalflow.storage import alert_rules, alert_targets
from signalflow.storage.api_keys import add_key, new_key
from signalflow.storage.audit import audit_page
from signalflow.storage.comment_writer import write_comments
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch
from tests.api_clients import bearer
from tests.integration.accounts_api import authorized, client_of, running, settings_of
from tests.integration.alert_history_rows import add_delivery, add_match, at
from tests.integration.comment_rows import comment, seen
from tests.integration.signal_rows import signal, store_signals
from tests.integration.storage_rows import NOON, contents, observation
from tests.unit.alerts.servers import answering, serving
from tests.waiting import until

ROCKETS = {"name": "Rockets", "query": "rocket subreddit:space"}
HOOK = {"name": "Hook", "shape": "json", "address": "https://example.org/hooks/hush?key=hush"}
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with running(settings_of(database_url, alert_networks="127.0.0.1")) as made:
        yield made


@pytest.fixture
async def operator(app: FastAPI, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, headers=bearer(settings_of(database_url), "operator")) as opened:
        yield opened


async def made(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(f"/api/alerts/{path}/", json=body)
    assert answer.status_code == 201, answer.text
    item: dict[str, Any] = answer.json()
    return item


async def got(client: httpx.AsyncClient, path: str, **parameters: Any) -> dict[str, Any]:
    answer = await client.get(f"/api/alerts/{path}/", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def version(pool: Pool) -> int:
    number: int = await pool.fetchval("SELECT version FROM alert_rules_version")
    return number


async def test_a_rule_is_made_changed_paused_and_removed_and_writers_of_posts_notice_each_time(
    operator: httpx.AsyncClient, pool: Pool
) -> None:
    target = await made(operator, "targets", HOOK)
    before = await version(pool)
    rule = await made(operator, "rules", ROCKETS | {"target_ids": [target["id"]]})
    assert (rule["query"], rule["target_ids"], rule["paused_at"], rule["last_match_at"]) == (
        "rocket subreddit:space", [target["id"]], None, None,
    )  # fmt: skip
    path = f"/api/alerts/rules/{rule['id']}/"
    paused = (await operator.patch(path, json={"paused": True})).json()
    assert paused["paused_at"] is not None
    again = (await operator.patch(path, json={"paused": True, "name": "Engines"})).json()
    assert (again["paused_at"], again["name"]) == (paused["paused_at"], "Engines")
    other = (await operator.patch(path, json={"paused": False, "query": "engine", "target_ids": []})).json()
    assert (other["paused_at"], other["query"], other["target_ids"]) == (None, "engine", [])
    assert await got(operator, f"rules/{rule['id']}") == other
    assert (await operator.delete(path)).status_code == 204
    assert (await operator.delete(path)).status_code == 404
    assert await version(pool) >= before + 5
    changes = [(entry.action, entry.who) for entry in await audit_page(pool, before=None, limit=10)]
    assert changes[:2] == [("alert_rule.remove", "test-operator"), ("alert_rule.change", "test-operator")]


async def test_a_new_rule_tells_news_only(operator: httpx.AsyncClient, pool: Pool) -> None:
    await write_batch(
        pool,
        [
            observation("met", subreddit="space", title="Rocket launch"),
            observation("other", subreddit="space", title="A telescope"),
            observation("old", subreddit="space", title="Rocket launch", created_utc=utcnow() - timedelta(hours=49)),
        ],
    )
    await write_comments(pool, [seen(comment("c1", body="what a rocket"), subreddit="space")])
    rule = await made(operator, "rules", ROCKETS)
    noted = [(row["kind"], row["subject"], row["alert"]) for row in await contents(pool, "alert_matches")]
    assert sorted(noted) == [("comment", "c1", None), ("post", "met", None)]
    assert await contents(pool, "alert_deliveries") == []
    assert (await got(operator, "matches"))["items"] == []
    assert (await got(operator, f"rules/{rule['id']}"))["last_match_at"] is None
    path = f"/api/alerts/rules/{rule['id']}/"
    # Another name changes nothing of what is asked for; another query does, and so does going on after a pause.
    await operator.patch(path, json={"paused": True, "query": "telescope"})
    assert len(await contents(pool, "alert_matches")) == 2
    await operator.patch(path, json={"paused": False})
    assert {row["subject"] for row in await contents(pool, "alert_matches")} == {"met", "c1", "other"}


async def test_a_signal_that_goes_on_when_a_rule_is_made_is_no_news(operator: httpx.AsyncClient, pool: Pool) -> None:
    now = utcnow()
    await store_signals(
        pool,
        signal("on", subreddit="space", subject="space", started_at=now),
        signal("over", subreddit="space", subject="space", started_at=now, ended_at=now),
        signal("elsewhere", started_at=now),
    )
    await made(operator, "rules", {"name": "Busy", "query": "signal:unusual_here subreddit:space"})
    noted = [(row["kind"], row["subject"], row["alert"]) for row in await contents(pool, "alert_matches")]
    assert noted == [("signal", "on", None)]


async def test_a_rule_that_asks_for_nearly_everything_is_refused(
    operator: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_rules, "MOST_MET", 2)
    await write_batch(pool, [observation(f"p{n}", title="Rocket") for n in range(3)])
    refused = await operator.post("/api/alerts/rules/", json={"name": "All", "query": "kind:post"})
    (fault,) = refused.json()["errors"]
    assert (refused.status_code, fault["parameter"], "ask for less" in fault["message"]) == (422, "query", True)
    assert await contents(pool, "alert_rules") == await contents(pool, "alert_matches") == []


async def test_a_wrong_query_names_the_place(operator: httpx.AsyncClient) -> None:
    for path in ("rules", "preview"):
        body = {"query": "mars (moon"} | ({"name": "x"} if path == "rules" else {})
        answer = await operator.post(f"/api/alerts/{path}/", json=body)
        assert answer.status_code == 422
        (fault,) = answer.json()["errors"]
        assert (fault["parameter"], fault["position"]) == ("query", 10)
        message, line, caret = fault["message"].split("\n")
        assert message.startswith("a ( is still open")
        assert (line, caret) == ("mars (moon", " " * 10 + "^")


async def test_limits_and_unknown_targets_are_refused_with_nothing_changed(
    operator: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_rules, "MOST_RULES", 1)
    monkeypatch.setattr(alert_targets, "MOST_TARGETS", 1)
    unknown = str(uuid4())
    refused = await operator.post("/api/alerts/rules/", json=ROCKETS | {"target_ids": [unknown]})
    assert (refused.status_code, unknown in refused.json()["detail"]) == (422, True)
    many = [str(uuid4()) for _ in range(21)]
    assert (await operator.post("/api/alerts/rules/", json=ROCKETS | {"target_ids": many})).status_code == 422
    assert (await got(operator, "rules"))["items"] == []
    for path, body in (("rules", ROCKETS), ("targets", HOOK)):
        await made(operator, path, body)
        second = await operator.post(f"/api/alerts/{path}/", json=body)
        assert (second.status_code, "as many as may be" in second.json()["detail"]) == (422, True)
        assert len((await got(operator, path))["items"]) == 1


async def test_pages_of_rules_repeat_and_leave_out_nothing(operator: httpx.AsyncClient) -> None:
    names = [f"rule {number}" for number in range(5)]
    for name in names:
        await made(operator, "rules", ROCKETS | {"name": name})
    first = await got(operator, "rules", page_size=3)
    second = await got(operator, "rules", page_size=3, cursor=first["next"])
    assert [item["name"] for item in first["items"] + second["items"]] == names[::-1]
    assert second["next"] is None
    assert (await operator.get("/api/alerts/matches/", params={"cursor": first["next"]})).status_code == 422


async def test_the_preview_counts_a_week_says_when_there_is_more_and_shows_the_newest(
    operator: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [observation(f"p{n}", title=f"Rocket {n}", created_utc=NOON - timedelta(hours=n)) for n in range(12)]
    gone = observation("gone", title="Rocket", removed_by="moderator")
    old = observation("old", title="Rocket", created_utc=utcnow() - timedelta(days=8))
    await write_batch(pool, [*hours, gone, old])
    await write_comments(pool, [seen(comment("c1", body="<b>rocket</b>", created_utc=NOON - timedelta(minutes=90)))])
    found = (await operator.post("/api/alerts/preview/", json={"query": "rocket"})).json()
    assert (found["posts"], found["comments"], found["more_posts"], found["more_comments"]) == (12, 1, False, False)
    assert [item["id"] for item in found["newest"]] == ["p0", "p1", "c1", *(f"p{n}" for n in range(2, 9))]
    assert found["newest"][2]["text"] == "<b>rocket</b>"
    assert (found["newest"][2]["kind"], found["newest"][2]["post_id"]) == ("comment", "abc")
    by_number = (await operator.post("/api/alerts/preview/", json={"query": "score>0 kind:post"})).json()
    assert by_number["posts"] == 12
    only = (await operator.post("/api/alerts/preview/", json={"query": "rocket kind:comment"})).json()
    assert (only["posts"], only["comments"]) == (0, 1)
    monkeypatch.setattr("signalflow.storage.alert_preview.MOST_COUNTED", 11)
    cut = (await operator.post("/api/alerts/preview/", json={"query": "rocket"})).json()
    assert (cut["posts"], cut["more_posts"], cut["comments"], cut["more_comments"]) == (11, True, 1, False)


async def test_what_is_secret_of_a_target_is_told_once(operator: httpx.AsyncClient, pool: Pool) -> None:
    chat = {"name": "Chat", "shape": "slack", "address": "https://hooks.example.org/hush"}
    mail = {"name": "Mail", "shape": "mail", "address": "you@example.org"}
    secrets: list[str] = []
    for given, place in (
        (HOOK, "https://example.org"),
        (chat, "https://hooks.example.org"),
        (mail, "you@example.org"),
        ({"name": "Feed", "shape": "feed"}, None),
    ):
        answer = await operator.post("/api/alerts/targets/", json=given)
        target = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert (target["place"], target["secret"] is not None) == (place, given["shape"] == "json")
        assert (target["feed_path"] is not None) == (given["shape"] == "feed")
        secrets += [text for text in (target["secret"], target["feed_path"]) if text]
        assert "hush" not in json.dumps(await got(operator, f"targets/{target['id']}"))
    logged = [entry.details for entry in await audit_page(pool, before=None, limit=10)]
    told = json.dumps([await got(operator, "targets"), logged])
    assert len(logged) == 4
    assert not any(hidden in told for hidden in ("hush", "whsec", *secrets))


async def test_an_address_that_cannot_be_one_is_refused_and_not_shown(operator: httpx.AsyncClient) -> None:
    for shape, address in (
        ("json", None),
        ("json", "ftp://hush.example"),
        ("mail", "You <hush@example.org>"),
        ("feed", "https://hush.example"),
    ):
        answer = await operator.post("/api/alerts/targets/", json={"name": "x", "shape": shape, "address": address})
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "address")
        assert "hush" not in answer.text


async def test_both_secrets_sign_for_a_day_after_a_rotation(operator: httpx.AsyncClient, pool: Pool) -> None:
    async with serving(answering("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")) as server:
        target = await made(operator, "targets", HOOK | {"address": f"http://127.0.0.1:{server.port}/hush"})
        path = f"/api/alerts/targets/{target['id']}"
        rotated = (await operator.post(f"{path}/rotate/")).json()
        until_then = datetime.fromisoformat(rotated["secret_before_until"])
        assert timedelta(hours=23) < until_then - utcnow() < timedelta(hours=25)
        tried = (await operator.post(f"{path}/test/")).json()
        assert (tried["verdict"], tried["status"], tried["answer"]) == ("done", 200, "ok")
        await pool.execute("UPDATE alert_targets SET secret_before_until = now()")
        await operator.post(f"{path}/test/")
    first, second = server.requests
    for secret in (target["secret"], rotated["secret"]):
        Webhook(secret).verify(first.body, first.headers)
    assert len(second.headers["webhook-signature"].split()) == 1
    Webhook(rotated["secret"]).verify(second.body, second.headers)


async def test_a_test_alert_that_is_not_taken_says_why(operator: httpx.AsyncClient) -> None:
    feed = await made(operator, "targets", {"name": "Feed", "shape": "feed"})
    mail = await made(operator, "targets", {"name": "Mail", "shape": "mail", "address": "you@example.org"})
    chat = await made(operator, "targets", {"name": "Chat", "shape": "slack", "address": "http://10.0.0.1/hush"})
    assert (await operator.post(f"/api/alerts/targets/{feed['id']}/test/")).status_code == 409
    without_server = await operator.post(f"/api/alerts/targets/{mail['id']}/test/")
    assert (without_server.status_code, "SIGNALFLOW_SMTP_HOST" in without_server.text) == (409, True)
    refused = (await operator.post(f"/api/alerts/targets/{chat['id']}/test/")).json()
    assert (refused["verdict"], "SIGNALFLOW_ALERT_NETWORKS" in refused["reason"]) == ("give_up", True)
    assert (await operator.post(f"/api/alerts/targets/{chat['id']}/rotate/")).status_code == 409
    assert (await operator.post(f"/api/alerts/targets/{uuid4()}/test/")).status_code == 404


async def test_a_disabled_target_is_enabled_with_a_clean_record(operator: httpx.AsyncClient, pool: Pool) -> None:
    target = await made(operator, "targets", HOOK)
    await pool.execute(
        "UPDATE alert_targets SET disabled_at = now(), disabled_because = 'it answered 410', gone_in_a_row = 5, "
        "gone_since = now(), gone_until = now()"
    )
    shown = await got(operator, f"targets/{target['id']}")
    assert (shown["disabled_because"], shown["disabled_at"] is not None) == ("it answered 410", True)
    path = f"/api/alerts/targets/{target['id']}/"
    before = await version(pool)
    enabled = (await operator.patch(path, json={"disabled": False})).json()
    assert (enabled["disabled_at"], enabled["disabled_because"]) == (None, None)
    (row,) = await contents(pool, "alert_targets")
    assert (row["gone_in_a_row"], row["gone_since"], row["gone_until"]) == (0, None, None)
    assert await version(pool) == before + 1
    moved = (await operator.patch(path, json={"address": "https://new.example/hush"})).json()
    assert moved["place"] == "https://new.example"


async def test_history_has_deliveries_with_their_tries_by_rule_target_and_state(
    operator: httpx.AsyncClient, pool: Pool
) -> None:
    hook, chat = await made(operator, "targets", HOOK), await made(operator, "targets", HOOK | {"name": "Chat"})
    rule, other = await made(operator, "rules", ROCKETS), await made(operator, "rules", ROCKETS | {"name": "Other"})
    first, second = await add_match(pool, rule["id"], "a", 1), await add_match(pool, rule["id"], "b", 2)
    third = await add_match(pool, other["id"], "a", 3)
    tries = (("later", 503, "the target answered 503 Service Unavailable", "<i>busy</i>"), ("done", 200, "", "ok"))
    done = await add_delivery(pool, first, hook["id"], "done", 1, tries)
    waits = await add_delivery(pool, second, chat["id"], "waiting", 2)
    given_up = await add_delivery(pool, third, hook["id"], "given_up", 3)

    async def ids(**parameters: Any) -> list[str]:
        return [item["id"] for item in (await got(operator, "deliveries", **parameters))["items"]]

    assert await ids() == [str(given_up), str(waits), str(done)]
    assert await ids(rule_id=rule["id"]) == [str(waits), str(done)]
    assert await ids(target_id=hook["id"]) == [str(given_up), str(done)]
    assert await ids(state="done", target_id=hook["id"]) == [str(done)]
    page = await got(operator, "deliveries", page_size=2)
    assert await ids(page_size=2, cursor=page["next"]) == [str(done)]
    (item,) = (await got(operator, "deliveries", state="done"))["items"]
    assert [(one["verdict"], one["status"], one["answer"]) for one in item["attempts"]] == [
        ("later", 503, "<i>busy</i>"), ("done", 200, "ok"),
    ]  # fmt: skip
    assert (item["rule"], item["target"], item["alert"]["title"]) == ("Rockets", "Hook", "Rocket <b>a</b>")
    matched = (await got(operator, "matches", rule_id=rule["id"]))["items"]
    assert [(one["subject"], one["kind"]) for one in matched] == [("b", "post"), ("a", "post")]
    assert datetime.fromisoformat((await got(operator, f"rules/{rule['id']}"))["last_match_at"]) == at(2)


async def test_a_message_is_sent_again_under_its_id_if_it_does_not_wait_and_its_target_is_enabled(
    operator: httpx.AsyncClient, pool: Pool
) -> None:
    target, rule = await made(operator, "targets", HOOK), await made(operator, "rules", ROCKETS)
    match = await add_match(pool, rule["id"], "a")
    delivery = await add_delivery(pool, match, target["id"], "given_up", answers=(("give_up", 400, "no", ""),))
    path = f"/api/alerts/deliveries/{delivery}/redeliver/"
    await pool.execute("UPDATE alert_targets SET disabled_at = now(), disabled_because = 'gone'")
    disabled = await operator.post(path)
    assert (disabled.status_code, "disabled" in disabled.json()["detail"]) == (409, True)
    await operator.patch(f"/api/alerts/targets/{target['id']}/", json={"disabled": False})
    again = (await operator.post(path)).json()
    assert (again["id"], again["state"], again["failures"], again["ended_at"]) == (str(delivery), "waiting", 0, None)
    # The day in which it is tried begins now, and what was tried before stays in the history.
    assert utcnow() - datetime.fromisoformat(again["first_at"]) < timedelta(minutes=5)
    assert len(again["attempts"]) == 1
    assert (await operator.post(path)).status_code == 409
    assert (await operator.post(f"/api/alerts/deliveries/{uuid4()}/redeliver/")).status_code == 404


async def test_a_reader_and_a_key_for_reading_see_all_and_change_nothing(
    app: FastAPI, operator: httpx.AsyncClient, pool: Pool, database_url: str
) -> None:
    target, rule = await made(operator, "targets", HOOK), await made(operator, "rules", ROCKETS)
    async with client_of(app, headers=bearer(settings_of(database_url))) as reader:
        for path in ("rules", f"rules/{rule['id']}", "targets", f"targets/{target['id']}", "matches", "deliveries"):
            await got(reader, path)
        assert (await reader.post("/api/alerts/preview/", json={"query": "rocket"})).status_code == 200
        refused = [
            await reader.post("/api/alerts/rules/", json=ROCKETS),
            await reader.patch(f"/api/alerts/rules/{rule['id']}/", json={"paused": True}),
            await reader.delete(f"/api/alerts/rules/{rule['id']}/"),
            await reader.post("/api/alerts/targets/", json=HOOK),
            await reader.patch(f"/api/alerts/targets/{target['id']}/", json={"disabled": False}),
            await reader.delete(f"/api/alerts/targets/{target['id']}/"),
            await reader.post(f"/api/alerts/targets/{target['id']}/test/"),
            await reader.post(f"/api/alerts/targets/{target['id']}/rotate/"),
            await reader.post(f"/api/alerts/deliveries/{uuid4()}/redeliver/"),
        ]
    assert [answer.status_code for answer in refused] == [403] * 9
    key = new_key()
    await add_key(
        pool, key, user="test-operator", label="", scopes=["read"], expires_at=None, now=utcnow(), who="tests"
    )
    async with client_of(app, headers=authorized(key)) as program:
        await got(program, "rules")
        assert (await program.post("/api/alerts/preview/", json={"query": "rocket"})).status_code == 200
        without_scope = await program.post("/api/alerts/rules/", json=ROCKETS)
        assert (without_scope.status_code, "scope config" in without_scope.json()["detail"]) == (403, True)


async def test_a_feed_is_read_by_its_link_alone(app: FastAPI, operator: httpx.AsyncClient, pool: Pool) -> None:
    feed = await made(operator, "targets", {"name": "Rockets & more", "shape": "feed"})
    rule = await made(operator, "rules", ROCKETS | {"target_ids": [feed["id"]]})
    other = await made(operator, "rules", ROCKETS)
    for number in range(3):
        await add_match(pool, rule["id"], f"p{number}", number)
    await add_match(pool, other["id"], "elsewhere")
    async with client_of(app) as anybody:
        answer = await anybody.get(feed["feed_path"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
        assert answer.headers["cache-control"] == "private, no-cache"
        document = ElementTree.fromstring(answer.content)
        assert document.findtext(f"{ATOM}title") == "Rockets & more"
        titles = [entry.findtext(f"{ATOM}title") for entry in document.findall(f"{ATOM}entry")]
        assert titles == ["Rocket <b>p2</b>", "Rocket <b>p1</b>", "Rocket <b>p0</b>"]
        token = feed["feed_path"].split("/")[-2]
        hook = await made(operator, "targets", HOOK)
        wrong = [
            f"/api/alerts/feeds/{feed['id']}/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}/",
            f"/api/alerts/feeds/{feed['id']}/{token[:-1]}/",
            f"/api/alerts/feeds/{feed['id']}/%ff/",
            f"/api/alerts/feeds/{uuid4()}/{token}/",
            f"/api/alerts/feeds/{hook['id']}/{token}/",
            f"/api/alerts/feeds/none/{token}/",
        ]
        answers = [await anybody.get(path) for path in wrong]
        assert {(one.status_code, one.json()["detail"]) for one in answers} == {
            (404, "There is no such feed: its link was changed, or is not whole.")
        }
        rotated = (await operator.post(f"/api/alerts/targets/{feed['id']}/rotate/")).json()
        assert (await anybody.get(feed["feed_path"])).status_code == 404
        assert (await anybody.get(rotated["feed_path"])).status_code == 200


async def test_two_who_change_rules_at_once_keep_the_limit(
    operator: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one waits for the first, so both cannot take the last place."""
    monkeypatch.setattr(alert_rules, "MOST_RULES", 1)
    async with alert_targets.changing(pool) as first:
        await first.execute(
            "INSERT INTO alert_rules (id, name, query, created_by) VALUES ($1, 'x', 'x', 'x')", UUID(int=1)
        )
        second = asyncio.create_task(operator.post("/api/alerts/rules/", json=ROCKETS))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )

        async def waits() -> bool:
            return bool(await pool.fetchval(waiting))

        await until(waits, "the second one waits")
    assert (await second).status_code == 422
