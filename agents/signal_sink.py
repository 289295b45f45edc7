"""The signal sink writes signals to the database and acknowledges them after the commit."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import mode

from agents.storing import StoringHandler, age, timed
from signalflow.clock import utcnow
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import SIGNAL_SECONDS, SIGNALS_WRITTEN
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings
from signalflow.signal_events import Signal, decode_signal
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.paced_writer import PacedSignalWriter
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Advances
from signalflow.storage.signal_writer import signal_is_stored, write_signals
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Gathering, run_batch_loop
from signalflow.streams.faust_types import RunStream


class SignalSinkHandler(StoringHandler[Signal]):
    """Writes batches of signals. `timeout`: seconds that a statement may take."""

    stage = "decode"

    def __init__(
        self,
        pool: Pool,
        dead_letters: DeadLetters,
        stored: StoredTopic,
        timeout: float,
        alerts: AlertMatches | None = None,
    ) -> None:
        super().__init__(PacedSignalWriter(pool, timeout, alerts), dead_letters, stored)
        self._pool = pool

    def row_of(self, record: KafkaRecord) -> Signal:
        """The signal."""
        check_readable(record)
        return decode_signal(record.value or b"")

    async def advance(self, advances: Advances) -> None:
        """Advance positions without rows."""
        await write_signals(self._pool, [], advances)

    def count(self, rows: Sequence[Signal], rejected: int) -> None:
        """Count rows, and measure how long some of them took since the observation that changed them."""
        SIGNALS_WRITTEN.inc(len(rows) - rejected)
        now = utcnow()
        for row in timed(rows):
            SIGNAL_SECONDS.observe(age(row.changed_at, now))


async def newest_is_stored(pool: Pool, records: Sequence[KafkaRecord]) -> bool:
    """Whether the newest of these signals that can be decoded is in the table, or a newer record of it."""
    for record in reversed(records):
        with suppress(Invalid):
            return await signal_is_stored(pool, decode_signal(record.value or b""))
    return False


def register(app: Application, settings: Settings, handler_of: Callable[[], SignalSinkHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).signals)
    gathering = Gathering(settings.sink_max_records, settings.sink_max_records_behind, settings.sink_max_seconds)

    @app.agent(topic, name="signal_sink", supervisor_strategy=mode.CrashingSupervisor)
    async def signal_sink(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering, name="signal_sink")
