"""The dlq agent writes dead letters to the database and acknowledges them after the commit. It also settles replays."""

from collections.abc import Callable

import mode

from agents.resources import ResourcesOf
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.dead_letters.replay import settle
from signalflow.dead_letters.storing import LetterRecord, LetterStore
from signalflow.kafka.topics import TopicNames
from signalflow.positions.stored_topic import CheckKeptPositions, StoredTopic
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.brokers import Brokers
from signalflow.streams.faust_types import RunStream
from signalflow.streams.timers import guarded

# A letter may hold 1.5 MB, so a statement takes few of them. Nobody minds a delay of half a second.
GATHERING = Gathering(due_records=20, most_records=20, seconds=0.5)
SETTLE_EVERY_SECONDS = 2.0


class DlqHandler:
    """Stores batches of dead letters. `timeout`: seconds that a statement may take."""

    def __init__(
        self,
        pool: Pool,
        dead_letters: DeadLetters,
        brokers: Brokers,
        check_kept_positions: CheckKeptPositions,
        timeout: float,
    ) -> None:
        self._letters = LetterStore(pool, dead_letters, timeout)
        self.stored = StoredTopic(
            pool, brokers, dead_letters.topic, self._letters.newest_is_stored, check_kept_positions
        )

    async def prepare(self, batch: Batch) -> list[LetterRecord]:
        """The letters of a batch."""
        return [self._letters.letter_in(record) for records in batch.partitions.values() for record in records]

    async def commit(self, work: list[LetterRecord], owned: Ownership) -> None:
        """Store the letters. Raises Retryable, or Rewind when the database lacks what was stored before."""
        async with self.stored.progress(owned, {record.partition for record, _ in work}) as progress:
            await self._letters.store(work, progress)


def register(
    app: Application, settings: Settings, handler_of: Callable[[], DlqHandler], resources: ResourcesOf
) -> None:
    """Add agent and timer to the app. `handler_of()` and `resources().pool` give what they use once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_dlq)

    @app.agent(topic, name="dlq", supervisor_strategy=mode.CrashingSupervisor)
    async def dlq(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), GATHERING, name="dlq")

    @app.timer(interval=SETTLE_EVERY_SECONDS, on_leader=True, name="dlq_settle")
    @guarded("dlq_settle")
    async def dlq_settle() -> None:
        await settle(resources().pool, settings)
