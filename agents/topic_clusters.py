"""The leader's timer that finds the topic clusters of new posts."""

from agents.resources import ResourcesOf
from signalflow.storage.topic_clusters import POSTS_AT_ONCE, TopicClusters
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

EVERY_SECONDS = 5.0
# 100 posts a second: six times what all of Reddit has. The rest of the time belongs to the agents.
STEPS_AT_ONCE = 5


def register(app: Application, resources: ResourcesOf) -> None:
    """Add the timer to the app."""
    clusters = TopicClusters()

    @app.timer(interval=EVERY_SECONDS, on_leader=True, name="topic_clusters")
    @guarded("topic_clusters")
    async def topic_clusters() -> None:
        for _ in range(STEPS_AT_ONCE):
            if await clusters.step(resources().pool) < POSTS_AT_ONCE:
                return
