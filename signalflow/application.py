"""Builds the application from the settings: the only module that knows all the parts."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog
from faust.types import TP

from agents import (
    alerts,
    comments,
    disk,
    dlq,
    enrich,
    expire,
    freshness,
    heartbeat,
    ingest,
    jobs,
    lag,
    positions,
    runs,
    signal_sink,
    signals,
    sink,
    terms,
    topic_clusters,
    topics,
)
from agents.alerts import AlertSender
from agents.comments import CommentsHandler
from agents.detecting import SignalsHandler
from agents.dlq import DlqHandler
from agents.enrich import EnrichHandler
from agents.signal_sink import SignalSinkHandler
from agents.sink import SinkHandler, newest_is_stored
from signalflow import clock, fail_points, tracing
from signalflow.dead_letters.dead_letters import DeadLetters, TopicIdOf
from signalflow.dead_letters.limit import OpenOffsets
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.positions import Position, Start
from signalflow.domain.run_history import RunBook
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.closed_connections import survive_closed_connections
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.publisher import Publisher
from signalflow.kafka.topics import TopicNames
from signalflow.logs import configure_logging, warn_of_settings_without_effect
from signalflow.positions import published
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings, get_settings
from signalflow.signal_detection import Baseline, Detector
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.dead_letters import open_offsets
from signalflow.storage.pool import Pool, create_pool
from signalflow.storage.schema import NotLoaded, check_schema
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.brokers import KafkaBrokers
from signalflow.streams.state_table import StateTable
from signalflow.streams.topic_watch import TopicWatch
from signalflow.streams.watermarks import Watermarks
from signalflow.streams.workspace import claim_workspace
from signalflow.term_detection import Known
from tables.post_state import create_post_state
from tables.subreddit_baseline import create_subreddit_baseline
from tables.term_counts import create_term_counts
from web.worker import views

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")
# An orderly stop takes seconds. Kubernetes kills a process after 30.
STOP_SECONDS = 20.0


@dataclass
class Resources:
    """What the parts of one worker share. Made when the worker starts: connections belong to its event loop."""

    pool: Pool
    producer: ConfirmedProducer
    publisher: Publisher
    comment_publisher: Publisher
    enrich: EnrichHandler
    sink: SinkHandler
    comments: CommentsHandler
    signals: SignalsHandler[Baseline]
    terms: SignalsHandler[Known]
    signal_sink: SignalSinkHandler
    dlq: DlqHandler
    alert_sender: AlertSender

    @property
    def stored(self) -> list[StoredTopic]:
        """How far the topics are stored whose positions are written together with rows."""
        return [self.sink.stored, self.comments.stored, self.signal_sink.stored, self.dlq.stored]


class Worker(Application):
    """The application of one worker process."""

    resources: Resources
    post_state: StateTable
    subreddit_baseline: StateTable
    term_counts: StateTable
    post_watermarks: Watermarks
    signal_watermarks: Watermarks
    term_watermarks: Watermarks
    detector: Detector
    topic_watch: TopicWatch
    run_book: RunBook

    async def on_start(self) -> None:
        """Wait for Kafka, then check what must hold before the first record: topics, local state, schema.

        Ends the process with status 1 and one sentence when it does not hold.
        """
        try:
            await self._make_ready()
        except Fatal as error:
            log.error("cannot_start", error=str(error))
            # Faust would print the traceback, which does not help an operator who has to correct a setting.
            raise SystemExit(1) from None
        await super().on_start()

    async def _make_ready(self) -> None:
        name = self.workspace.name
        await self._once_kafka_answers(self.topic_watch.make_ready)
        settings, topic_id_of, brokers = self.settings, self._topic_id_of, KafkaBrokers(self.settings)
        pool = await create_pool(settings, application_name=f"signalflow {name}")
        await _check_schema_if_reachable(pool)
        producer = ConfirmedProducer(settings, f"{settings.app_id}-{name}", self.written.note)
        publishing = ConfirmedProducer(settings, f"{settings.app_id}-{name}-ingest")
        dead_letters = DeadLetters(
            settings, producer, name, topic_id_of=topic_id_of, open_offsets=_open_offsets(pool, topic_id_of)
        )
        names, matches = TopicNames.of(settings), AlertMatches()
        self.resources = Resources(
            pool=pool,
            producer=producer,
            publisher=Publisher(publishing, names.posts_raw, published.note_of(self, pool, names.posts_raw)),
            comment_publisher=Publisher(
                publishing, names.comments_raw, published.note_of(self, pool, names.comments_raw)
            ),
            enrich=EnrichHandler(
                settings,
                self.post_state,
                producer,
                dead_letters,
                self.post_watermarks,
                partitions=lambda: self.settings.topic_partitions,
            ),
            sink=SinkHandler(
                pool,
                dead_letters,
                StoredTopic(pool, brokers, names.posts_enriched, newest_is_stored, self._check_kept_positions),
                settings.database_timeout,
                matches,
            ),
            comments=CommentsHandler(
                settings,
                pool,
                dead_letters,
                StoredTopic(
                    pool, brokers, names.comments_raw, comments.newest_is_stored(settings), self._check_kept_positions
                ),
                matches,
            ),
            signals=signals.handler_of_subreddits(
                settings, self.subreddit_baseline, producer, dead_letters, self.signal_watermarks, self.detector
            ),
            terms=terms.handler_of_terms(settings, self.term_counts, producer, dead_letters, self.term_watermarks),
            signal_sink=SignalSinkHandler(
                pool,
                dead_letters,
                StoredTopic(pool, brokers, names.signals, signal_sink.newest_is_stored, self._check_kept_positions),
                settings.database_timeout,
                matches,
            ),
            dlq=DlqHandler(pool, dead_letters, brokers, self._check_kept_positions, settings.database_timeout),
            alert_sender=AlertSender(pool, settings, self.is_leader),
        )

    def _topic_id_of(self, topic: str, partition: int) -> UUID | None:
        """The id of the topic that this worker reads in a partition. What the watch says may be older or newer."""
        return self.consumer.topic_read(TP(topic, partition))  # type: ignore[no-any-return]

    async def _check_kept_positions(self, positions: Mapping[TP, Position]) -> Mapping[TP, Start]:
        return await self.consumer.check_kept_positions(positions)  # type: ignore[no-any-return]

    async def _once_kafka_answers(self, work: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Do this work. Try again while Kafka is away: nobody may be there to restart the worker."""
        failures = 0
        while True:
            try:
                return await work()
            except Retryable as error:
                failures += 1
                wait = WHILE_AWAY.after(failures)
                log.warning("kafka_away_at_start", error=str(error), retry_in=wait)
                await asyncio.sleep(wait)

    async def stop(self) -> None:
        """Stop, and end the process in any case: while brokers are away, Faust's own stop may wait for them forever.

        Records that were not committed are then delivered again, as after a kill.
        """
        end_process_after(STOP_SECONDS)
        await super().stop()

    async def on_stop(self) -> None:
        """Stop the streams first, then close what they write to."""
        await super().on_stop()
        if hasattr(self, "resources"):
            await self.resources.alert_sender.stop()
            await runs.write_last(self.run_book, self.resources.pool, self.workspace.name)
            await self.resources.publisher.close()
            await self.resources.producer.close()
            self.resources.pool.terminate()
        await asyncio.to_thread(tracing.end)


def end_process_after(seconds: float) -> None:
    """End this process with status 1 if it still runs after this many seconds.

    A thread does this, because the event loop may hang.
    """

    def end() -> None:
        log.error("stop_hangs", seconds=seconds, remedy="none needed: what was not committed is delivered again")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _open_offsets(pool: Pool, topic_id_of: TopicIdOf) -> OpenOffsets:
    """What the dead-letter limit calls for the offsets of earlier letters. The limit itself knows no database."""

    async def history(topic: str, partition: int, first: int, end: int) -> list[int]:
        topic_id = topic_id_of(topic, partition)
        return [] if topic_id is None else await open_offsets(pool, topic_id, partition, first, end)

    return history


async def _check_schema_if_reachable(pool: Pool) -> None:
    """Raises Fatal for a schema that this code does not know.

    While the database is away, or lacks TimescaleDB and refuses posts, the worker enriches nevertheless.
    """
    try:
        await check_schema(pool)
    except NotLoaded as error:
        log.error("timescaledb_not_loaded", error=str(error))
    except Retryable as error:
        log.warning("database_away_at_start", error=str(error))


def _worker_settings() -> Settings:
    """The settings of the environment, with the local stack's addresses if SIGNALFLOW_JOIN_LOCAL_STACK is on.

    Raises Fatal when it is on and no stack runs.
    """
    settings = get_settings()
    if not settings.join_local_stack:
        return settings
    from signalflow.local.running import with_addresses_of_stack

    joined = with_addresses_of_stack(settings)
    if joined is None:
        raise Fatal(
            f"SIGNALFLOW_JOIN_LOCAL_STACK is on, but no stack runs in {settings.state_dir.resolve()}: start one with "
            "`signalflow up`, or set SIGNALFLOW_STATE_DIR to the directory of the one that runs"
        )
    return joined


def create_app(settings: Settings | None = None) -> Worker:
    """The application of this process, with all agents, timers and views. Makes no connection.

    Raises pydantic.ValidationError for a wrong setting, Fatal when the worker's directory is in use.
    """
    settings = settings or _worker_settings()
    configure_logging(settings)
    warn_of_settings_without_effect(settings)
    fail_points.arm(settings.fail_point)
    clock.set_wrong(settings.clock_offset_seconds)
    survive_closed_connections()
    app = create_faust_app(Worker, settings, claim_workspace(settings))
    tracing.begin(settings.otlp_endpoint, app.workspace.name)
    app.post_state, app.post_watermarks = create_post_state(app, settings), Watermarks()
    app.subreddit_baseline, app.signal_watermarks = create_subreddit_baseline(app, settings), Watermarks()
    app.term_counts, app.term_watermarks = create_term_counts(app, settings), Watermarks()
    app.detector = Detector()
    app.topic_watch, app.run_book = TopicWatch(app), RunBook()

    def resources() -> Resources:
        return app.resources

    enrich.register(app, settings, lambda: resources().enrich)
    sink.register(app, settings, lambda: resources().sink)
    comments.register(app, settings, lambda: resources().comments)
    signals.register(app, settings, lambda: resources().signals)
    terms.register(app, settings, lambda: resources().terms)
    signal_sink.register(app, settings, lambda: resources().signal_sink)
    dlq.register(app, settings, lambda: resources().dlq, resources)
    tables = [
        (app.post_state, app.post_watermarks),
        (app.subreddit_baseline, app.signal_watermarks),
        (app.term_counts, app.term_watermarks),
    ]
    expire.register(app, tables, resources)
    is_polling = ingest.register(app, settings, resources, app.run_book)
    heartbeat.register(app, resources, is_polling, can_poll=ingest.why_it_cannot_poll(settings) is None)
    lag.register(app)
    disk.register(app, settings.state_dir, [table for table, _ in tables])
    topics.register(app, app.topic_watch)
    positions.register(app, settings, resources, lambda: resources().stored)
    jobs.register(app, settings, resources, app.run_book)
    topic_clusters.register(app, resources)
    freshness.register(app, resources)
    alerts.register(app, lambda: resources().alert_sender)
    runs.register(app, app.run_book, resources)
    views.register(app, app.post_state)
    return app
