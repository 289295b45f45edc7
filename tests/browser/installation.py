"""The installation of the browser tests: a database with data, a real Kafka, and an API that can be stopped."""

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import uvicorn
from aiokafka import AIOKafkaProducer
from pwdlib import PasswordHash
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.events import DeadLetter, Enriched, encode
from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.signal_events import Signal
from signalflow.storage.accounts import add_user
from signalflow.storage.alert_rules import add_rule
from signalflow.storage.alert_targets import add_target
from signalflow.storage.dead_letters import NewLetter, store_letters
from signalflow.storage.pool import Pool, create_pool
from signalflow.storage.subreddits import load_defaults, mark_polled, mark_state
from signalflow.storage.writer import write_batch
from tests.integration.accounts_api import HASHER, PASSWORD
from tests.integration.alert_history_rows import add_delivery, add_match
from tests.integration.signal_rows import store_signals
from tests.integration.storage_rows import observation
from web.app import create_api

USER = "ada"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> & "quotes"'
SUBREDDITS = ("python", "rust", "science", "golang")
STARTS_WITHIN = 20.0


class Installation:
    """Everything but workers. The API answers at `url` between `start` and `stop`."""

    def __init__(self, settings: Settings, port: int) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve the API in a thread, and wait until it answers."""
        app = create_api(self.settings, PasswordHash((HASHER,)))
        config = uvicorn.Config(app, port=self._port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.url}/health", trust_env=False)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the API does not answer")

    def stop(self) -> None:
        """Stop the API and close its connections."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(STARTS_WITHIN)
        self._server = self._thread = None

    async def seed(self) -> None:
        """Store posts with a history, subreddits, three dead letters, and a user with the role operator."""
        await create_topics(self.settings)
        now = utcnow()
        pool = await create_pool(self.settings, application_name="tests")
        async with pool:
            await add_user(pool, USER, "operator", HASHER.hash(PASSWORD), now=now, who="tests")
            await write_batch(pool, self._posts())
            await load_defaults(pool, [WatchedSubreddit(name, 60, "fast") for name in SUBREDDITS])
            await mark_polled(pool, dict.fromkeys(SUBREDDITS, now))
            for name in SUBREDDITS:
                await mark_state(pool, name, "ok", now)
            await store_letters(pool, [self._letter(number) for number in range(3)])
            await self._alert(pool)

    def _posts(self) -> Sequence[Enriched]:
        now = utcnow()
        plain = [
            post(f"p{number:02}", minutes=number * 20 + 1, subreddit=SUBREDDITS[number % 3], current_score=number)
            for number in range(60)
        ]
        rocket = [
            post(
                "rocket",
                minutes=30,
                title="Rocket engines explained",
                subreddit="science",
                observed_at=now - timedelta(minutes=12 - step),
                current_score=40 * step * step,
                current_comments=130,
                trend_velocity=1.5 * step,
                is_trending=True,
                trending_score=0.6,
            )
            for step in range(12)
        ]
        hostile = post("hostile", minutes=2, title=HOSTILE, permalink="javascript:alert(1)", url="javascript:alert(2)")
        return [*plain, *rocket, hostile]

    async def _alert(self, pool: Pool) -> None:
        """A rule, a target that was disabled, and a message that it did not take."""
        made = await add_target(pool, "Old hook", "json", f"{self.url}/nobody", 60, by="tests")
        rule = await add_rule(pool, "Launches", "launch kind:post", [made.target.id], by="tests")
        match = await add_match(pool, rule.id, "rocket", title=HOSTILE)
        answers = (("gone", 410, "the target answered 410: nobody is there; check its address", HOSTILE),)
        await add_delivery(pool, match, made.target.id, "given_up", answers=answers)
        await pool.execute("UPDATE alert_targets SET disabled_at = now(), disabled_because = 'it answered 410'")

    def _letter(self, number: int) -> NewLetter:
        topic = TopicNames.of(self.settings).posts_raw
        letter = DeadLetter(
            topic=topic,
            partition=0,
            offset=number,
            key=f"k{number}".encode(),
            value=b'{"broken": ' + str(number).encode(),
            headers=(),
            stage="decode",
            error_type="Invalid",
            error="JSON is malformed",
            worker="worker-1",
            failed_at=utcnow(),
            topic_id=UUID(int=7),
        )
        return NewLetter(letter, True, None)

    async def publish(self, *posts: Enriched) -> None:
        """Publish observations on the topic that the live stream reads."""
        producer = AIOKafkaProducer(**connection_options(self.settings))
        await producer.start()
        try:
            for one in posts:
                topic = TopicNames.of(self.settings).posts_enriched
                await producer.send(topic, encode(one), key=one.id.encode())
            await producer.flush()
        finally:
            await producer.stop()

    async def publish_signals(self, *signals: Signal) -> None:
        """Publish signals on their topic, as the signals agent does."""
        async with AIOKafkaProducer(**connection_options(self.settings)) as producer:
            for one in signals:
                await producer.send_and_wait(TopicNames.of(self.settings).signals, encode(one), key=one.key)

    async def store_signals(self, *rows: dict[str, Any]) -> None:
        """Store rows of signals in place of those that are there."""
        await self.rows("DELETE FROM signals")
        async with await create_pool(self.settings, application_name="tests") as pool:
            await store_signals(pool, *rows)

    async def store(self, *posts: Enriched) -> None:
        """Store observations, as the sink does."""
        pool = await create_pool(self.settings, application_name="tests")
        async with pool:
            await write_batch(pool, posts)

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a query of the database."""
        connection = await asyncpg.connect(self.settings.database_url.get_secret_value())
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()


def post(post_id: str, *, minutes: float = 0, **changes: Any) -> Enriched:
    """An observation of a post that was created so many minutes ago.

    It was made now or at `observed_at`, and is a discovery unless `first_seen_at` differs from that.
    """
    now = utcnow()
    observed = changes.pop("observed_at", now)
    fields = {
        "title": f"Plain post {post_id}",
        "created_utc": now - timedelta(minutes=minutes),
        "first_seen_at": observed,
        "observed_at": observed,
        "emitted_at": observed,
        "mode": "new",
        "trending_score": 0.0,
    }
    return observation(post_id, **{**fields, **changes})


def settings_for(settings: Settings, secret: str) -> Settings:
    """Settings with a short heartbeat, so that a browser test need not wait."""
    return settings.model_copy(update={"api_secret": SecretStr(secret), "live_heartbeat_seconds": 2.0})
