"""A timer that compares the topics with what the worker took them for."""

from signalflow.streams.app import Application
from signalflow.streams.timers import guarded
from signalflow.streams.topic_watch import TopicWatch


def register(app: Application, watch: TopicWatch) -> None:
    """Add the timer to the app."""

    @app.timer(interval=app.settings.topic_check_seconds, name="topics")
    @guarded("topics")
    async def check() -> None:
        await watch.check()
