"""A timer that compares positions in the logs and in the database, and notes how far topics are read."""

from collections.abc import Callable, Sequence

from agents.resources import ResourcesOf
from signalflow.clock import steady
from signalflow.kafka.topics import TopicNames
from signalflow.positions.comparison import compare
from signalflow.positions.read_topic import ReadTopic
from signalflow.positions.recording import record_breaks
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

EVERY_SECONDS = 2.0


def register(
    app: Application, settings: Settings, resources: ResourcesOf, stored: Callable[[], Sequence[StoredTopic]]
) -> None:
    """Add the timer to the app. `stored()` gives what is compared with the database once the worker runs.

    It compares once after each assignment, and then every `position_check_seconds`.
    """
    compared_at, generation = -settings.position_check_seconds, -1
    names = TopicNames.of(settings)
    read = [ReadTopic(topic) for topic in (names.posts_raw, names.signal_inputs, names.term_inputs)]

    @app.timer(interval=min(EVERY_SECONDS, settings.position_check_seconds), name="positions")
    @guarded("positions")
    async def positions() -> None:
        nonlocal compared_at, generation
        if app.rebalancing or app.in_recovery:
            return
        pool = resources().pool
        await record_breaks(app, pool)
        now, of_now = steady(), app.consumer_generation_id
        if generation != of_now or now - compared_at >= settings.position_check_seconds:
            await compare(app, pool, stored())
            compared_at, generation = now, of_now
        for topic in read:
            await topic.note(app, pool)
