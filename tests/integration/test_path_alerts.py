"""The way of an alert: whatever is killed on it, each target gets each alert, and none again that was confirmed."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from standardwebhooks import Webhook

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from tests.integration import signals_of_tests
from tests.integration.alert_rows import make_rule, make_target
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.workers import WorkerProcess, committed, eventually, observation, produce, read_topic
from tests.unit.alerts.servers import answering, serving

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
POSTS = [f"s{number}" for number in range(24)]
WITH_ROCKET = {("post", id_) for id_ in POSTS[::4]} | {("comment", "c0"), ("comment", "c2")}
# These have a signal by the rule of signals_of_tests.
WITH_SIGNAL = {("post", id_) for id_ in POSTS if id_.endswith("0")}


async def observe(settings: Settings, moment: int) -> None:
    """One observation of every post and comment."""
    at = START + timedelta(minutes=moment)
    titles = {id_: "A rocket" if ("post", id_) in WITH_ROCKET else "A boat" for id_ in POSTS}
    await produce(settings, [observation(id_, at, created_at=START, title=title) for id_, title in titles.items()])
    bodies = {f"c{number}": "my rocket" if number % 2 == 0 else "my boat" for number in range(4)}
    said = [comment(id_, body=body, post_id="s1", created_utc=START) for id_, body in bodies.items()]
    await produce_comments(settings, [envelope(each, at) for each in said])


async def all_is_committed(settings: Settings) -> bool:
    names = TopicNames.of(settings)
    for topic in (names.posts_raw, names.comments_raw, names.posts_enriched, names.signal_inputs, names.signals):
        if sum((await committed(settings, topic)).values()) < len(await read_topic(settings, topic)):
            return False
    return True


async def test_no_alert_is_lost_and_none_that_was_confirmed_is_sent_again_when_workers_are_killed(
    settings: Settings, topics: TopicNames, pool: Pool, tmp_path: Path
) -> None:
    worker = WorkerProcess(
        settings,
        "w1",
        tmp_path,
        app=signals_of_tests.__name__,
        SIGNALFLOW_SINK_MAX_SECONDS="0.2",
        SIGNALFLOW_SIGNALS_GATHER_SECONDS="0.2",
        SIGNALFLOW_ALERT_NETWORKS="127.0.0.0/8",
    )

    async def is_killed() -> bool:
        return worker.poll() is not None

    async def all_is_done() -> bool:
        # As if the minute was over for which a killed worker had claimed a message.
        await pool.execute("UPDATE alert_deliveries SET next_at = now() WHERE state = 'waiting' AND next_at > now()")
        return not await pool.fetchval("SELECT count(*) FROM alert_deliveries WHERE state <> 'done'")

    async with serving(answering("HTTP/1.1 204 No Content\n\n")) as receiver:
        target = await make_target(pool, f"http://127.0.0.1:{receiver.port}/hook")
        await make_rule(pool, "rocket", target, name="Rockets")
        await make_rule(pool, "signal:viral", target, name="Signals")
        try:
            worker.start(SIGNALFLOW_FAIL_POINT="alerts.before_send")
            await worker.ready()
            await observe(settings, 0)
            await eventually(is_killed, 30, worker.tail)
            assert receiver.requests == []
            assert await pool.fetchval("SELECT count(*) FROM alert_deliveries WHERE state = 'waiting'") > 0

            worker.start(SIGNALFLOW_FAIL_POINT="alerts.after_send:3")
            await observe(settings, 1)
            await eventually(is_killed, 60, worker.tail)
            assert len(receiver.requests) == 3
            not_confirmed = receiver.requests[2].headers["webhook-id"]

            worker.start()
            await worker.ready()
            await observe(settings, 2)
            await eventually(lambda: all_is_committed(settings), 30, worker.tail)
            await eventually(all_is_done, 30, worker.tail)
            assert await worker.metric("signalflow_alert_deliveries_total", 'outcome="done"') > 0
            assert worker.stop() == 0, worker.tail()
        finally:
            worker.ensure_stopped()

    rows = await pool.fetch(
        "SELECT m.id, m.kind, m.subject, r.name FROM alert_matches AS m JOIN alert_rules AS r ON r.id = m.rule_id"
    )
    wanted = [("Rockets", *met) for met in WITH_ROCKET] + [("Signals", *met) for met in WITH_SIGNAL]
    assert sorted((row["name"], row["kind"], row["subject"]) for row in rows) == sorted(wanted)
    sent = Counter(request.headers["webhook-id"] for request in receiver.requests)
    assert set(sent) == {f"alert_{row['id'].hex}" for row in rows}
    assert {id_ for id_, times in sent.items() if times > 1} == {not_confirmed}
    assert len({request.body for request in receiver.requests}) == len(rows), "what is repeated is repeated as it was"
    secret = await pool.fetchval("SELECT secret FROM alert_targets")
    for request in receiver.requests:
        Webhook(secret).verify(request.body, request.headers)
    tries = await pool.fetch("SELECT delivery_id FROM alert_attempts")
    assert len(tries) == len(rows), "each was recorded once"
