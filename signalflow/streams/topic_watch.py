"""Compares the topics of a running worker with what the brokers have: at its start, and again and again."""

from uuid import UUID

import structlog

from signalflow.kafka.admin import Prepared, prepare_topics
from signalflow.kafka.group_members import unread_partitions
from signalflow.kafka.topic_check import Difference
from signalflow.kafka.topics import TopicNames, topic_specs
from signalflow.metrics import PARTITIONS_UNREAD, TOPICS_MADE_ANEW, begin_topics
from signalflow.streams.app import Application
from signalflow.streams.recovery import local_states

log = structlog.get_logger()


class TopicWatch:
    """The topics as one worker uses them. `ids`: their ids by name, kept up to date."""

    def __init__(self, app: Application) -> None:
        self._app = app
        specs = topic_specs(app.settings)
        begin_topics(
            read=[spec.name for spec in specs if spec.role == "source"],
            others=[spec.name for spec in specs if spec.role != "source"],
        )
        self._warned: list[Difference] = []
        self.ids: dict[str, UUID] = {}

    async def make_ready(self) -> None:
        """Create missing topics, check their properties, and take their number of partitions.

        Raises Fatal when a topic breaks a promise, Retryable while Kafka is away.
        """
        prepared = await prepare_topics(self._app.settings)
        if prepared.created:
            log.info("topics_created", topics=prepared.created)
        for difference in prepared.warnings:
            if difference not in self._warned:
                log.warning("topic_differs", difference=str(difference), change=difference.change)
        self._warned = prepared.warnings
        self._take_partitions(prepared)
        self.ids.update({name: topic.id for name, topic in prepared.topics.items()})

    async def check(self) -> None:
        """`make_ready` once more, while the worker runs; begin anew with what is not the same any more.

        New partitions are assigned when the consumer sees them in its metadata. A source topic that was made anew is
        the consumer's to notice, by the topic id in its commits. For a changelog that was made anew the worker joins
        its group again: before the recovery that follows, the stores of the old changelog are wiped.
        """
        before = dict(self.ids)
        await self.make_ready()
        anew = [name for name, id_ in self.ids.items() if before.get(name, id_) != id_]
        for name in anew:
            TOPICS_MADE_ANEW.labels(topic=name).inc()
            log.error("topic_made_anew", topic=name, was=str(before[name]), id=str(self.ids[name]))
        if self._has_state_of_another_changelog():
            await self._app.consumer.rejoin()
        await self._count_unread()

    def _has_state_of_another_changelog(self) -> bool:
        """Whether the worker uses local state of a changelog that is not there any more. Not told while it recovers."""
        if self._app.rebalancing or self._app.in_recovery:
            return False
        used = {tp.topic for tp in self._app.assignor.assigned_actives()}
        return any(
            changelog in used and not state.is_of(self.ids[changelog])
            for changelog, state in local_states(self._app)
            if changelog in self.ids
        )

    def _take_partitions(self, prepared: Prepared) -> None:
        count = prepared.topics[TopicNames.of(self._app.settings).posts_raw].partitions
        if prepared.extended:
            log.warning("partitions_added", topics=prepared.extended, partitions=count)
        if count != self._app.settings.topic_partitions:
            log.warning("more_partitions", partitions=count, before=self._app.settings.topic_partitions)
            self._app.use_partitions(count)

    async def _count_unread(self) -> None:
        unread = await unread_partitions(self._app.settings)
        for topic, partitions in (unread or {}).items():
            PARTITIONS_UNREAD.labels(topic=topic).set(len(partitions))
            if partitions:
                log.warning("partitions_unread", topic=topic, partitions=partitions)
