"""The signals agent: observations by subreddit in, signals and what is usual in each subreddit out."""

from collections.abc import Callable

import mode

from agents.detecting import SignalsHandler, gathering_of
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.signal_detection import Baseline, Detector
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import run_batch_loop
from signalflow.streams.faust_types import RunStream
from signalflow.streams.state_table import StateTable
from signalflow.streams.watermarks import Watermarks
from tables.subreddit_baseline import BatchBaselines


def handler_of_subreddits(
    settings: Settings,
    table: StateTable,
    producer: ConfirmedProducer,
    dead_letters: DeadLetters,
    watermarks: Watermarks,
    detector: Detector,
) -> SignalsHandler[Baseline]:
    """The handler of this agent."""
    return SignalsHandler(
        settings,
        table,
        producer,
        dead_letters,
        watermarks,
        detector.detect,
        lambda read, keys: BatchBaselines(read(keys)),
    )


def register(app: Application, settings: Settings, handler_of: Callable[[], SignalsHandler[Baseline]]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).signal_inputs)

    @app.agent(topic, name="signals", supervisor_strategy=mode.CrashingSupervisor)
    async def signals(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering_of(settings), name="signals")
