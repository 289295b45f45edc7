"""Alerts that wait are sent once, again after a failure, by whoever claims them, and each target by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from standardwebhooks import Webhook

from agents import alerts as agent
from agents.alerts import AlertSender
from signalflow.alerts.outcome import Result, Verdict
from signalflow.errors import Retryable
from signalflow.settings import Settings
from signalflow.storage.alert_deliveries import (
    alerts_waiting_seconds,
    claim,
    due_targets,
    forget_alerts,
    record,
)
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch
from tests.integration.alert_rows import make_rule, make_target, states
from tests.integration.storage_rows import NOON, observation
from tests.unit.alerts.servers import Server, answering, serving
from tests.waiting import until

OK = answering("HTTP/1.1 204 No Content\n\n")
SETTINGS = Settings(alert_networks="127.0.0.0/8", smtp_host="mail.example.org", smtp_from="us@example.org")


@pytest.fixture
async def sender(pool: Pool) -> AsyncIterator[AlertSender]:
    sending = AlertSender(pool, SETTINGS, lambda: True)
    yield sending
    await sending.stop()


async def meet(pool: Pool, *posts: str) -> None:
    """Store these posts, which all rules of these tests meet."""
    await write_batch(pool, [observation(id_, title=f"The {id_}") for id_ in posts], None, AlertMatches())


async def wait_for(pool: Pool, sender: AlertSender, **wanted: str) -> None:
    """Let the sender look until the deliveries have these states, by subject."""

    async def have() -> bool:
        await sender.look()
        return await states(pool) == wanted

    await until(have, lambda: str(wanted), 15, pause=0.05)


async def due_now(pool: Pool) -> None:
    """As if the time of the next try had come."""
    await pool.execute("UPDATE alert_deliveries SET next_at = now() WHERE state = 'waiting' AND next_at > now()")


def ids(server: Server) -> list[str]:
    return [request.headers["webhook-id"] for request in server.requests]


async def test_an_alert_is_sent_once_signed_and_recorded_and_a_failure_is_repeated_as_it_was(
    pool: Pool, sender: AlertSender
) -> None:
    answers = [answering("HTTP/1.1 500 Oh\nContent-Length: 4\n\noops"), OK, OK]
    async with serving(lambda writer: answers.pop(0)(writer)) as server:
        target = await make_target(pool, f"http://127.0.0.1:{server.port}/hook")
        await make_rule(pool, "subreddit:python", target, name="All")
        await meet(pool, "a")
        await until(lambda: _looked(sender, server, 1), "a try")
        await until(lambda: pool.fetchval("SELECT failures FROM alert_deliveries WHERE next_at > first_at"), "a note")
        await sender.look()
        await due_now(pool)
        await wait_for(pool, sender, a="done")
        await due_now(pool)
        await sender.look()
    first, second = server.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    match = await pool.fetchval("SELECT id FROM alert_matches")
    assert first.headers["webhook-id"] == f"alert_{match.hex}" == json.loads(first.body)["data"]["id"]
    Webhook(await pool.fetchval("SELECT secret FROM alert_targets")).verify(second.body, second.headers)
    tries = await pool.fetch("SELECT verdict, status, answer FROM alert_attempts ORDER BY id")
    assert [tuple(row) for row in tries] == [("later", 500, "oops"), ("done", 204, "")]


async def _looked(sender: AlertSender, server: Server, most: int) -> bool:
    if not server.requests:
        await sender.look()
    return len(server.requests) == most


async def test_a_target_that_does_not_answer_holds_up_no_other_and_no_stop(
    pool: Pool, sender: AlertSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "STOP_SECONDS", 0.1)
    for_ever = asyncio.Event()
    async with serving(lambda _: for_ever.wait()) as silent, serving(OK) as server:  # type: ignore[arg-type,return-value]
        await make_rule(pool, "a", await make_target(pool, f"http://127.0.0.1:{silent.port}"))
        await meet(pool, "a")
        await until(lambda: _looked(sender, silent, 1), "a try")
        targets = [await make_target(pool, f"http://127.0.0.1:{server.port}") for _ in range(2)]
        await make_rule(pool, "b", *targets)
        await meet(pool, "b", "c")
        await wait_for(pool, sender, a="waiting", b="done")
        assert len(silent.requests) == 1
        assert await pool.fetchval("SELECT count(*) FROM alert_attempts WHERE verdict <> 'done'") == 0, "it waits"
        async with asyncio.timeout(5):
            await sender.stop()
        assert await states(pool) == {"a": "waiting", "b": "done"}
        for_ever.set()


async def test_two_senders_do_not_send_one_message_twice(pool: Pool, sender: AlertSender) -> None:
    other = AlertSender(pool, SETTINGS, lambda: True)
    async with serving(OK) as server:
        await make_rule(pool, "subreddit:python", await make_target(pool, f"http://127.0.0.1:{server.port}"))
        names = [f"p{number}" for number in range(6)]
        await meet(pool, *names)
        await asyncio.gather(*(wait_for(pool, each, **dict.fromkeys(names, "done")) for each in (sender, other)))
    assert len(set(ids(server))) == len(server.requests) == 6
    await other.stop()


async def test_who_does_not_lead_any_more_sends_nothing_more(pool: Pool) -> None:
    leads = True
    sender = AlertSender(pool, SETTINGS, lambda: leads)

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal leads
        leads = False
        await OK(writer)

    async with serving(answer) as server:
        await make_rule(pool, "subreddit:python", await make_target(pool, f"http://127.0.0.1:{server.port}"))
        await meet(pool, "a", "b")
        await sender.look()
        await until(lambda: pool.fetchval("SELECT count(*) = 1 FROM alert_attempts"), "a note")
        await sender.stop()
    assert len(server.requests) == 1


async def test_what_was_sent_is_recorded_once_the_database_is_back(
    pool: Pool, sender: AlertSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [Retryable("away"), Retryable("away")]

    async def recorded(*given: Any) -> Any:
        if away:
            raise away.pop()
        return await record(*given)

    monkeypatch.setattr(agent, "record", recorded)
    async with serving(OK) as server:
        await make_rule(pool, "subreddit:python", await make_target(pool, f"http://127.0.0.1:{server.port}"))
        await meet(pool, "a")
        await wait_for(pool, sender, a="done")
    assert (len(server.requests), away) == (1, [])


async def test_a_target_where_nobody_is_for_an_hour_is_disabled_and_gets_nothing_more(
    pool: Pool, sender: AlertSender
) -> None:
    async with serving(answering("HTTP/1.1 410 Gone\n\n")) as server:
        target = await make_target(pool, f"http://127.0.0.1:{server.port}")
        await make_rule(pool, "subreddit:python", target)
        await meet(pool, "a", "b")
        await pool.execute("UPDATE alert_targets SET gone_in_a_row = 4, gone_since = now() - interval '61 minutes'")
        await wait_for(pool, sender, a="given_up", b="given_up")
    assert len(server.requests) == 1
    row = await pool.fetchrow("SELECT disabled_at, disabled_because, gone_in_a_row FROM alert_targets")
    assert row["disabled_at"] is not None
    assert "nobody was there 5 times in a row" in row["disabled_because"]
    await meet(pool, "c")
    assert set(await states(pool)) == {"a", "b"}


async def test_what_cannot_be_sent_is_given_up_with_the_reason(pool: Pool, sender: AlertSender) -> None:
    await make_rule(pool, "subreddit:python", await make_target(pool, "nowhere"))
    await meet(pool, "a")
    await wait_for(pool, sender, a="given_up")
    assert "does not begin with https://" in await pool.fetchval("SELECT reason FROM alert_attempts")


async def test_an_e_mail_tells_all_alerts_of_some_time_and_the_same_ones_when_it_is_sent_again(
    pool: Pool, sender: AlertSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails: list[EmailMessage] = []
    results = [Result(Verdict.LATER, 0.1, 450), Result(Verdict.DONE, 0.1, 250), Result(Verdict.DONE, 0.1, 250)]

    async def send(mail: EmailMessage, _: Any) -> Result:
        mails.append(mail)
        return results.pop(0)

    async def an_hour_passes() -> None:
        await pool.execute(
            "UPDATE alert_deliveries SET first_at = first_at - interval '1 hour', next_at = next_at - interval '1 hour'"
        )

    monkeypatch.setattr(agent, "send_mail", send)
    await make_rule(pool, "subreddit:python", await make_target(pool, "someone@example.org", "mail"))
    await meet(pool, "a", "b")
    await sender.look()
    assert await due_targets(pool, [], 10) == []
    await an_hour_passes()
    await until(lambda: _mailed(sender, mails, 1), "a mail")
    await until(lambda: pool.fetchval("SELECT count(*) = 2 FROM alert_attempts"), "a note")
    await meet(pool, "c")
    await an_hour_passes()
    await wait_for(pool, sender, a="done", b="done", c="done")
    texts = [str(mail) for mail in mails]
    tells = [{name for name in "abc" if f"The {name}" in text} for text in texts]
    assert tells == [{"a", "b"}, {"c"}, {"a", "b"}]
    assert mails[0]["Message-ID"] == mails[2]["Message-ID"] != mails[1]["Message-ID"]


async def _mailed(sender: AlertSender, mails: list[EmailMessage], most: int) -> bool:
    await sender.look()
    return len(mails) == most


async def test_e_mail_waits_for_a_mail_server_that_is_set(pool: Pool) -> None:
    sender = AlertSender(pool, Settings(), lambda: True)
    await make_rule(pool, "subreddit:python", await make_target(pool, "someone@example.org", "mail", digest_minutes=1))
    await meet(pool, "a")
    await pool.execute("UPDATE alert_deliveries SET first_at = first_at - interval '1 hour', next_at = next_at")
    await wait_for(pool, sender, a="waiting")
    reason = await until(lambda: pool.fetchval("SELECT reason FROM alert_attempts"), "a try")
    assert "SIGNALFLOW_SMTP_HOST" in reason
    await sender.stop()


async def test_after_a_day_a_message_is_given_up_and_what_was_sent_is_done_though_it_was_given_up(pool: Pool) -> None:
    target = await make_target(pool)
    await make_rule(pool, "subreddit:python", target)
    await meet(pool, "a", "b")
    failed = Result(Verdict.LATER, 1.0, reason="no answer", answer="\x00")
    first = await claim(pool, target)
    assert first is not None
    assert (await record(pool, first, failed, 0.5)).state == "waiting"
    await pool.execute("UPDATE alert_deliveries SET next_at = now(), first_at = now() - interval '1 day'")
    second = await claim(pool, target)
    assert second is not None
    assert (await record(pool, second, failed, 0.5)).state == "given_up"
    third = await claim(pool, target)
    assert third is not None
    assert await claim(pool, target) is None, "nobody else sends it meanwhile"
    await pool.execute("UPDATE alert_deliveries SET state = 'given_up' WHERE id = $1", third.ids[0])
    assert (await record(pool, third, Result(Verdict.DONE, 1.0, 200), 0.5)).state == "done"
    assert sorted((await states(pool)).values()) == ["done", "given_up"]
    await pool.execute("DELETE FROM alert_targets")
    assert (await record(pool, third, failed, 0.5)).state == "given_up"


async def test_a_secret_that_was_replaced_signs_until_its_time(pool: Pool) -> None:
    target = await make_target(pool, secret_before="whsec_old", secret_before_until=NOON + timedelta(days=9))
    await make_rule(pool, "subreddit:python", target)
    await meet(pool, "a", "b")
    one = await claim(pool, target)
    await pool.execute("UPDATE alert_targets SET secret_before_until = now() - interval '1 second'")
    other = await claim(pool, target)
    assert one is not None
    assert other is not None
    assert (len(one.secrets), one.secrets[1], len(other.secrets)) == (2, "whsec_old", 1)


async def test_alerts_that_wait_are_measured_and_old_ones_forgotten(pool: Pool) -> None:
    assert await alerts_waiting_seconds(pool) == 0
    await make_rule(pool, "subreddit:python", await make_target(pool, "someone@example.org", "mail"))
    await meet(pool, "a")
    await pool.execute("UPDATE alert_deliveries SET first_at = first_at - interval '50 minutes'")
    assert await alerts_waiting_seconds(pool) == 0, "it waits for its digest"
    await make_rule(pool, "b", web := await make_target(pool))
    await meet(pool, "b")
    await pool.execute("UPDATE alert_deliveries SET first_at = now() - interval '9 s' WHERE target_id = $1", web)
    assert 9 <= await alerts_waiting_seconds(pool) < 60
    await pool.execute("UPDATE alert_matches SET matched_at = now() - interval '31 days' WHERE subject = 'a'")
    assert await forget_alerts(pool, 30) == 1
    assert set(await states(pool)) == {"b"}
