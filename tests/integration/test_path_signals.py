"""The way of signals: each observation counts once, in the order of the log, whatever dies meanwhile."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from signalflow.domain.signals.bursts import Mention
from signalflow.domain.signals.subreddit import Seen, SubredditState
from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration import signals_of_tests
from tests.integration.signals_of_tests import follow
from tests.integration.workers import (
    WorkerProcess,
    committed,
    count,
    eventually,
    fetch_all,
    no_differences,
    observation,
    produce,
    read_topic,
)
from tests.unit.domain.signals.batch_bursts import bursts_of, chance_of

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SUBREDDITS = ("python", "Rust", "golang", "zig", "haskell")
POSTS = 100
# Posts of other words, with which the watch of terms begins, and posts a moment that tell a story.
QUIET = 60
TELLING = 3
STORY = "zorbanaut parade"
WATCHED_FROM = START - timedelta(hours=20)


def a_worker(settings: Settings, log_dir: Path, name: str = "w1", **extra: str) -> WorkerProcess:
    often = {"SIGNALFLOW_SINK_MAX_SECONDS": "0.2", "SIGNALFLOW_SIGNALS_GATHER_SECONDS": "0.2"}
    return WorkerProcess(settings, name, log_dir, app=signals_of_tests.__name__, **often, **extra)


async def observe(settings: Settings, moment: int) -> None:
    """One observation of every post, of several subreddits, and some new posts of a story."""
    if moment == 0:
        quiet = (f"quiet{n}z" for n in range(QUIET))
        await produce(
            settings, [observation(word, WATCHED_FROM, created_at=WATCHED_FROM, title=word) for word in quiet]
        )
    at = START + timedelta(minutes=moment)
    posts = [
        observation(
            f"s{n}",
            at,
            created_at=START,
            score=n + 7 * moment,
            title=f"usual{n}z",
            subreddit=SUBREDDITS[n % len(SUBREDDITS)],
        )
        for n in range(0, 10 * POSTS, 2)
    ]
    told = [
        observation(f"t{moment}{n}x", at, created_at=at, title=STORY, subreddit=SUBREDDITS[n]) for n in range(TELLING)
    ]
    await produce(settings, posts + told)


async def all_is_committed(settings: Settings) -> bool:
    """Whether the group has committed all records of its topics, asked in the order in which records pass them."""
    names = TopicNames.of(settings)
    for topic in (
        *(names.posts_raw, names.posts_enriched, names.signal_inputs, names.term_inputs),
        *(names.signals, names.posts_dlq),
    ):
        passed = sum((await committed(settings, topic)).values())
        if passed < len(await read_topic(settings, topic)):
            return False
    return True


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


async def by_the_log(settings: Settings) -> Mapping[str, tuple[Any, ...]]:
    """The signals that the log of inputs gives, each of its observations counted once: when its first record came."""
    counted: set[tuple[int, int]] = set()
    states: dict[str, SubredditState] = {}
    found: dict[str, tuple[Any, ...]] = {}
    for record in await read_topic(settings, TopicNames.of(settings).signal_inputs):
        given = json.loads(record.value)
        source = given["source"]["partition"], given["source"]["offset"]
        if source in counted:
            continue
        counted.add(source)
        name = given["subreddit"].lower()
        assert record.key == name.encode()
        seen = Seen(
            given["post_id"], us(given["created_utc"]), us(given["observed_at"]), given["is_discovery"],
            given["score"], given["comments"], given["ratio"], given["score_velocity"], given["late"],
            given["taken_away"], given["mode"] == "backfill", given["mode"] == "new",
        )  # fmt: skip
        states[name], changes = follow(states.get(name), name, seen)
        for change in changes:
            found[f"{change.kind}-{change.subject}"] = (change.changed_us, change.observed, change.expected)
    return found


async def stored(settings: Settings) -> Mapping[str, tuple[Any, ...]]:
    rows = await fetch_all(settings, "SELECT id, changed_at, observed, expected FROM signals WHERE kind <> 'burst'")
    return {
        row["id"]: ((row["changed_at"] - EPOCH) // timedelta(microseconds=1), row["observed"], row["expected"])
        for row in rows
    }


async def the_story_is_a_burst(settings: Settings) -> None:
    """The one burst is that of the story, with the numbers that its definition gives for the log of its mentions.

    Posts of several moments may be mentioned in another order than they were observed: a batch of the enrich agent has
    several partitions, one after the other.
    """
    names, key = TopicNames.of(settings), blake2b(STORY.encode(), digest_size=8).hexdigest()
    posts = [json.loads(record.value)["payload"] for record in await read_topic(settings, names.posts_raw)]
    told = [
        json.loads(record.value)
        for record in await read_topic(settings, names.term_inputs)
        if record.key == key.encode()
    ]
    mentions = [
        Mention(each["post_id"], each["subreddit"].lower(), us(each["created_utc"]), us(each["observed_at"]))
        for each in told
    ]
    assert {each.post for each in mentions} == {post["id"] for post in posts if post["title"] == STORY}
    expected = bursts_of(mentions, us(WATCHED_FROM.isoformat()))
    assert len(expected) == 1
    burst, rows = expected[0], await fetch_all(settings, "SELECT * FROM signals WHERE kind = 'burst'")
    assert [row["subject"] for row in rows] == [key]
    (row,) = rows
    inputs = json.loads(row["inputs"])
    assert us(row["started_at"].isoformat()) == burst.start
    assert us(row["changed_at"].isoformat()) == max(each.observed_us for each in mentions)
    assert (row["observed"], inputs["observed"], inputs["count"]) == (burst.peak, burst.observed, len(burst.members))
    assert row["expected"] == pytest.approx(burst.expected)
    assert row["strength"] == pytest.approx(burst.peak / burst.expected)
    assert inputs["chance"] == pytest.approx(
        chance_of(burst.observed, inputs["past_posts"] + 0.5, inputs["past_hours"] + 1)
    )
    assert set(row["post_ids"]) == {each.post for each in mentions} == set(burst.members)
    assert (row["subreddit"], inputs["subreddits"], row["ended_at"]) == (None, TELLING, None)


async def test_signals_are_stored_as_the_log_of_observations_gives_them(settings: Settings, tmp_path: Path) -> None:
    await create_topics(settings)
    worker = a_worker(settings, tmp_path)
    worker.start()
    try:
        await worker.ready()
        for moment in range(3):
            await observe(settings, moment)
        await eventually(lambda: all_is_committed(settings), 30, worker.tail)
        inputs = [json.loads(r.value) for r in await read_topic(settings, TopicNames.of(settings).signal_inputs)]
        assert len(inputs) == 3 * 5 * POSTS + QUIET + 3 * TELLING
        assert sum(given["is_discovery"] for given in inputs) == 5 * POSTS + QUIET + 3 * TELLING
        mentions = await read_topic(settings, TopicNames.of(settings).term_inputs)
        assert len(mentions) == 5 * POSTS + QUIET + 3 * TELLING
        assert not any(
            word in (record.value + record.key).lower() for record in mentions for word in (b"zorb", b"usual")
        )
        assert await worker.metric("signalflow_signals_written") >= 3 * POSTS
    finally:
        worker.ensure_stopped()
    assert await count(settings, "signals") == POSTS + 1
    await the_story_is_told(settings, 3)


@pytest.mark.parametrize(
    "points",
    [
        ["enrich.after_outputs:2", "terms.after_outputs", "signals.after_outputs", "signals.after_changelog"],
        ["signals.after_state", "signals.after_ack", "signal_sink.before_commit", "signal_sink.after_commit"],
    ],
)
async def test_workers_that_die_one_after_another_between_two_steps_count_each_observation_once(
    settings: Settings, tmp_path: Path, points: list[str]
) -> None:
    await create_topics(settings)
    first = a_worker(settings, tmp_path)
    # None of these has local state, only what the changelogs hold.
    dying = [a_worker(settings, tmp_path, f"w{number}") for number, _ in enumerate(points, 2)]
    last = a_worker(settings, tmp_path, "w9")
    moments = len(points) + 2
    try:
        first.start()
        await first.ready()
        await observe(settings, 0)
        await eventually(lambda: all_is_committed(settings), 30, first.tail)
        assert first.stop() == 0
        for moment, (worker, point) in enumerate(zip(dying, points, strict=True), 1):
            worker.start(SIGNALFLOW_FAIL_POINT=point)
            await observe(settings, moment)
            await eventually(lambda worker=worker: worker.poll() is not None, 60, worker.tail)
        last.start()
        await last.ready()
        await observe(settings, moments - 1)
        await eventually(lambda: all_is_committed(settings), 30, last.tail)
    finally:
        for worker in (first, *dying, last):
            worker.ensure_stopped()
    await the_story_is_told(settings, moments)


async def the_story_is_told(settings: Settings, moments: int) -> None:
    """The signals are those that the log gives, and `verify` finds no difference."""
    assert await stored(settings) == await by_the_log(settings)
    await the_story_is_a_burst(settings)
    report = await no_differences(settings, follow=follow)
    assert report.signals is not None
    assert report.signals.found == report.signals.expected == POSTS + 1
    assert report.signals_by_rule is not None
    assert report.signals_by_rule.found == report.signals_by_rule.expected == moments * POSTS
    assert report.bursts_by_rule is not None
    # It begins with the fourth post, and each further one is a new peak.
    assert report.bursts_by_rule.found == report.bursts_by_rule.expected == moments * TELLING - 3


async def test_posts_flow_and_no_input_is_made_when_signals_are_off(settings: Settings, tmp_path: Path) -> None:
    await create_topics(settings)
    worker = a_worker(settings, tmp_path, SIGNALFLOW_SIGNALS="false")
    worker.start()
    try:
        await worker.ready()
        await observe(settings, 0)
        await eventually(lambda: all_is_committed(settings), 30, worker.tail)
    finally:
        worker.ensure_stopped()
    assert await count(settings, "posts") == 5 * POSTS + QUIET + TELLING
    assert await read_topic(settings, TopicNames.of(settings).signal_inputs) == []
    assert await read_topic(settings, TopicNames.of(settings).term_inputs) == []
    await no_differences(settings)
