"""The agent of terms: mentions by the hash of their term in, bursts and the posts of each term out."""

from collections.abc import Callable

import mode

from agents.detecting import SignalsHandler, gathering_of
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import run_batch_loop
from signalflow.streams.faust_types import RunStream
from signalflow.streams.state_table import StateTable
from signalflow.streams.watermarks import Watermarks
from signalflow.term_detection import Known, detect
from tables.term_counts import BatchTerms


def handler_of_terms(
    settings: Settings,
    table: StateTable,
    producer: ConfirmedProducer,
    dead_letters: DeadLetters,
    watermarks: Watermarks,
) -> SignalsHandler[Known]:
    """The handler of this agent."""
    return SignalsHandler(settings, table, producer, dead_letters, watermarks, detect, BatchTerms)


def register(app: Application, settings: Settings, handler_of: Callable[[], SignalsHandler[Known]]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).term_inputs)

    @app.agent(topic, name="terms", supervisor_strategy=mode.CrashingSupervisor)
    async def terms(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering_of(settings), name="terms")
