"""A timer that measures how far behind a worker is, even while it reads nothing because it cannot write."""

from signalflow.metrics import CONSUMER_LAG, RECORDS_HELD
from signalflow.streams.app import Application, source_topics
from signalflow.streams.timers import guarded

EVERY_SECONDS = 2.0


def register(app: Application) -> None:
    """Add the timer to the app.

    It sends one request at a time: while the brokers are away, more would only queue up in front of the fetches.
    """

    @app.timer(interval=EVERY_SECONDS, name="lag")
    @guarded("lag")
    async def lag() -> None:
        if not app.rebalancing and not app.in_recovery:
            await update_lag(app)


async def update_lag(app: Application) -> None:
    """Set the gauges of this worker: records that are not committed yet, and how many of them it holds in memory.

    The brokers are asked for the end offsets: the consumer learns them only by fetching, and does not fetch while
    paused.
    """
    topics = source_topics(app.settings)
    partitions = [tp for tp in app.consumer.assignment() if tp.topic in topics]
    ends = await app.consumer.highwaters(*partitions)
    lags, held = dict.fromkeys(topics, 0), dict.fromkeys(topics, 0)
    for tp in partitions:
        lags[tp.topic] += max(ends[tp] - app.consumer.committed_upto(tp), 0)
        held[tp.topic] += app.consumer.held(tp)
    for topic in topics:
        CONSUMER_LAG.labels(topic=topic).set(lags[topic])
        RECORDS_HELD.labels(topic=topic).set(held[topic])
