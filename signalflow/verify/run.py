"""Did we lose anything? Compares the topics with the tables, whether the pipeline runs or not.

The order ensures that no record is taken for lost while it is being processed. The committed offsets of the group come
first. The snapshot of the database, taken next, says itself how far the topics are stored. The ends of the topics, read
last, hold at least what the snapshot shows. A row that is due must be there; a row that is not due yet must be
explained by the log.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.reader import Offsets
from signalflow.kafka.topic_ids import topic_ids
from signalflow.settings import Settings
from signalflow.verify.comments import CommentOracle, ExpectedComments
from signalflow.verify.compare import ROWS_AT_ONCE, Connection, compare_in, snapshot, stored_positions
from signalflow.verify.expect import CLOCKS_AGREE, Expected, Oracle, Scope
from signalflow.verify.figures import Rules
from signalflow.verify.letters import Letters, RawTopic, Refusals, compare_events, compare_letters
from signalflow.verify.log import Committed, Extent, TopicLog, latest
from signalflow.verify.mentions import MentionOracle
from signalflow.verify.report import Report, TableReport
from signalflow.verify.signals import (
    RULE,
    STATEMENT,
    Follow,
    InputOracle,
    SignalOracle,
    SignalTopic,
    compare_signals,
    of_this_rule,
)

# Rows and velocities from before may rest on records that the log has lost.
_LAST_BREAK = "SELECT max(noticed_at) FROM log_breaks WHERE topic = ANY($1)"
_RANKS_FROM = "SELECT date_trunc('day', now() - make_interval(days => $1), 'UTC')"
_HISTORY_FROM = "SELECT history_from FROM schema_info"
_NOW = "SELECT now()"

# Called with what is being read, how much more of it was read, and how much there is in all (None: unknown).
Progress = Callable[[str, int, int | None], None]


def rules_of(settings: Settings) -> Rules:
    """The settings that the computed numbers depend on."""
    return Rules(
        velocity_high=settings.trending_velocity_high,
        velocity_low=settings.trending_velocity_low,
        sentiment=settings.trending_sentiment,
        comments=settings.trending_comments,
        threshold=settings.trending_threshold,
        state_hours=settings.post_state_hours,
        fold_apostrophes=settings.fold_apostrophes,
        ahead_minutes=settings.observed_ahead_minutes,
        trend_window=settings.trend_window,
    )


class Topics(Protocol):
    """The names of the topics that are compared with the tables."""

    @property
    def posts_raw(self) -> str: ...
    @property
    def comments_raw(self) -> str: ...
    @property
    def posts_enriched(self) -> str: ...
    @property
    def posts_dlq(self) -> str: ...
    @property
    def signal_inputs(self) -> str: ...
    @property
    def term_inputs(self) -> str: ...
    @property
    def signals(self) -> str: ...
    @property
    def post_state_changelog(self) -> str: ...
    @property
    def subreddit_baseline_changelog(self) -> str: ...
    @property
    def term_counts_changelog(self) -> str: ...


class OtherTopicsError(Fatal):
    """The tables were filled from topics with other ids than the topics of this Kafka."""


async def _written(
    settings: Settings, connection: Connection, ids: Mapping[str, UUID], topics: Topics, committed: Committed
) -> Offsets:
    """Enriched records below these offsets are in the snapshot.

    While a database has no position of the enriched topic, what the group committed counts: nothing was written yet, or
    by a version that had no positions. Raises OtherTopicsError when it has positions of other topics alone.
    """
    positions = await stored_positions(connection)
    enriched = ids.get(topics.posts_enriched)
    written = {position.partition: position.next_offset for position in positions if position.topic_id == enriched}
    if written:
        return written
    if any(position.topic_id not in ids.values() for position in positions):
        raise OtherTopicsError(
            f"these topics are not of this database: it was filled from topics with other ids than those at "
            f"{settings.kafka}. Is this the Kafka that it was filled from?"
        )
    return committed.written


class _Check:
    """One run: what the topics hold, in one snapshot of the database."""

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        connection: Connection,
        since: datetime | None,
        until: datetime | None,
        progress: Progress,
        follow: Follow,
    ) -> None:
        self._follow = follow
        self._settings, self._topics, self._connection = settings, topics, connection
        self._since, self._until, self._progress = since, until, progress
        self._log = TopicLog(settings, settings.app_id)
        self._rules = rules_of(settings)

    async def report(
        self, committed: Committed, comments_reached: Offsets, inputs_reached: Offsets, mentions_reached: Offsets
    ) -> Report:
        """Read the topics and compare. The arguments are from before the snapshot."""
        topics, connection = self._topics, self._connection
        ids = await topic_ids(
            self._settings,
            [
                *(topics.posts_raw, topics.comments_raw, topics.posts_enriched, topics.posts_dlq),
                *(topics.signal_inputs, topics.term_inputs, topics.signals),
            ],
        )
        letters = Letters(
            await self._raw_topic(topics.posts_raw, ids),
            (await self._raw_topic(topics.comments_raw, ids),),
            frozenset({topics.signal_inputs, topics.term_inputs, topics.signals}),
        )
        dead = await self._log.extent(topics.posts_dlq)
        async for records in self._log.records(topics.posts_dlq, dead):
            for record in records:
                letters.take(record)
        dlq_is_whole = not any(dead.begins.values()) and not await self._broken(topics.posts_dlq)
        if not dlq_is_whole:
            await letters.take_stored(connection, topics.posts_dlq)
        posts = await self._read_posts(letters, ids, committed)
        with closing(posts):
            comments = await self._read_comments(letters, ids, comments_reached)
            with closing(comments):
                report = await compare_in(
                    connection,
                    posts,
                    comments,
                    ranks_from=await connection.fetchval(_RANKS_FROM, self._settings.history_retention_days),
                    progress=lambda rows: self._progress("rows", rows, None),
                )
        # A part of the log does not tell what is usual in a subreddit.
        if self._since is None and self._until is None:
            await self._compare_signals(report, letters, ids, inputs_reached, mentions_reached)
        expected: dict[str, Refusals] = {topics.posts_raw: posts, topics.comments_raw: comments}
        report.dead_letters = compare_letters(expected, letters, report.missing)
        if committed.letters is not None:
            report.dlq_events = await compare_events(
                connection, letters, topics.posts_dlq, committed.letters, dlq_is_whole, report.missing
            )
        return report

    async def _extent(self, topic: str, ids: Mapping[str, UUID]) -> Extent:
        """What to read of a raw topic.

        Of a partition that has lost all records, the position tells when it got the last; without one it was just now.
        """
        extent = await self._log.extent(topic, self._since, self._until)
        if not extent.emptied:
            return extent
        last = dict.fromkeys(extent.emptied, await self._connection.fetchval(_NOW))
        for position in await stored_positions(self._connection):
            end = extent.emptied.get(position.partition)
            if position.topic_id == ids.get(topic) and position.record_at and position.next_offset == end:
                last[position.partition] = position.record_at
        return replace(extent, start=latest(extent.start, *last.values()))

    async def _raw_topic(self, name: str, ids: Mapping[str, UUID]) -> RawTopic:
        return RawTopic(name, ids.get(name), await self._broken(name))

    async def _broken(self, *topics: str) -> datetime | None:
        """When one of these logs was last found broken."""
        found: datetime | None = await self._connection.fetchval(_LAST_BREAK, list(topics))
        return found

    async def _read_posts(self, letters: Letters, ids: Mapping[str, UUID], committed: Committed) -> Expected:
        """What the log of posts asks for."""
        topics, broken = self._topics, letters.posts.broken
        # Brokers that lost the end of the enriched log may have lost the end of the raw log and the commits, too. Then
        # nobody knows. Velocities come from states that only the changelog keeps.
        any_broken = await self._broken(topics.posts_raw, topics.posts_enriched, topics.post_state_changelog)
        written = await _written(self._settings, self._connection, ids, topics, committed)
        extent = await self._extent(topics.posts_raw, ids)
        scope = Scope(
            stored=await self._log.stored(topics.posts_enriched, committed, written, broken),
            enriched=committed.enriched,
            written=await self._log.stored(topics.posts_enriched, committed, committed.written, broken),
            counted=extent.counted,
            start=latest(extent.start, any_broken),
            set_aside=letters.set_aside(topics.posts_raw),
            history_from=await self._connection.fetchval(_HISTORY_FROM),
        )
        oracle = Oracle(self._rules, scope)
        await self._read(topics.posts_raw, extent, oracle, "records")
        return oracle.expected

    async def _read_comments(self, letters: Letters, ids: Mapping[str, UUID], reached: Offsets) -> ExpectedComments:
        """What the log of comments asks for. Their agent stores this topic itself, so its positions are of this log."""
        topic = self._topics.comments_raw
        positions = await stored_positions(self._connection)
        stored = {each.partition: each.next_offset for each in positions if each.topic_id == ids.get(topic)}
        extent = await self._extent(topic, ids)
        scope = Scope(
            # As with posts: without positions, what the group committed counts.
            stored=stored or reached,
            enriched=reached,
            written=reached,
            counted=extent.counted,
            start=latest(extent.start, await self._broken(topic)),
            set_aside=letters.set_aside(topic),
        )
        oracle = CommentOracle(self._rules, scope)
        await self._read(topic, extent, oracle, "records of comments")
        return oracle.expected

    async def _compare_signals(
        self,
        report: Report,
        letters: Letters,
        ids: Mapping[str, UUID],
        inputs_reached: Offsets,
        mentions_reached: Offsets,
    ) -> None:
        """Compare table signals with its topic, and the topic with what the rules give for the logs of their inputs."""
        topics = self._topics
        if not {topics.signals, topics.signal_inputs, topics.term_inputs} <= ids.keys():
            return
        positions = await stored_positions(self._connection)
        stored = {each.partition: each.next_offset for each in positions if each.topic_id == ids[topics.signals]}
        extent, aside = await self._log.extent(topics.signals), letters.errors_of(topics.signals)
        topic = SignalTopic()
        async for records in self._log.records(topics.signals, extent):
            for record in records:
                topic.take(record, stored, aside)
            self._progress("records of signals", len(records), None)
        now: datetime = await self._connection.fetchval(_NOW)
        broken = await self._broken(topics.signals)
        # Of a partition without records nothing tells when it had its last.
        start = now if extent.emptied else latest(extent.start, broken)
        ahead = timedelta(minutes=self._settings.observed_ahead_minutes)
        report.signals = await compare_signals(
            self._connection.cursor(STATEMENT, prefetch=ROWS_AT_ONCE),
            topic,
            certain_after=None if start is None else start + ahead + CLOCKS_AGREE,
            kept_from=now - timedelta(days=self._settings.signal_retention_days) + CLOCKS_AGREE,
        )
        if start is None and of_this_rule(topic):
            report.signals_by_rule = await self._follow_inputs(
                SignalOracle(topic, self._follow),
                (topics.signal_inputs, topics.subreddit_baseline_changelog),
                letters,
                inputs_reached,
            )
        if start is None and of_this_rule(topic, are_bursts=True):
            report.bursts_by_rule = await self._follow_inputs(
                MentionOracle(topic), (topics.term_inputs, topics.term_counts_changelog), letters, mentions_reached
            )

    async def _follow_inputs(
        self, oracle: InputOracle, logs: tuple[str, str], letters: Letters, reached: Offsets
    ) -> TableReport | None:
        """The topic of signals compared with a rule; None where the log does not tell all that was known.

        `logs`: the topic of its inputs, and the changelog of its table.
        """
        inputs, changelog = logs
        extent = await self._log.extent(inputs)
        if any(extent.begins.values()) or await self._broken(self._topics.posts_raw, inputs, changelog):
            return None
        aside = letters.errors_of(inputs)
        async for records in self._log.records(inputs, extent):
            for record in records:
                oracle.take(record, reached, aside)
            self._progress("inputs of signals", len(records), sum(extent.ends.values()))
        return oracle.table

    async def _read(self, topic: str, extent: Extent, oracle: Oracle | CommentOracle, what: str) -> None:
        total = sum(end - extent.begins[partition] for partition, end in extent.ends.items())
        try:
            async for records in self._log.records(topic, extent):
                for record in records:
                    oracle.take(record)
                self._progress(what, len(records), total)
        except BaseException:
            oracle.expected.close()
            raise


async def verify(
    settings: Settings,
    topics: Topics,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = lambda what, more, total: None,
    follow: Follow = RULE,
) -> Report:
    """Compare the tables with all that the topics still hold, or with what brokers received from `since` to `until`.

    `follow` is the rule of signals by subreddit, which are compared where all that the topics hold is.
    Raises Retryable when Kafka or the database does not answer, Fatal when a topic or the schema is missing.
    """
    log = TopicLog(settings, settings.app_id)
    committed = await log.committed(topics.posts_raw, topics.posts_enriched, topics.posts_dlq)
    comments_reached = await log.reached(topics.comments_raw)
    inputs_reached = await log.reached(topics.signal_inputs)
    mentions_reached = await log.reached(topics.term_inputs)
    try:
        async with snapshot(settings.database_url.get_secret_value()) as connection:
            check = _Check(settings, topics, connection, since, until, progress, follow)
            return await check.report(committed, comments_reached, inputs_reached, mentions_reached)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise Fatal("the database has no schema that this version knows: run `signalflow migrate`") from error
    # The driver raises an InternalClientError when the server ends a connection just as a statement begins.
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise Retryable(f"database of SIGNALFLOW_DATABASE_URL: {type(error).__name__}: {error}") from error
