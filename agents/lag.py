"""A timer that measures how far behind a worker is, even while it reads nothing because it cannot write."""

from signalflow.clock import utcnow
from signalflow.metrics import (
    COMMITS_BEYOND_END,
    CONSUMER_LAG,
    OLDEST_UNPROCESSED,
    PARTITIONS_STANDING_STILL,
    RECORDS_HELD,
)
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
    """Set the gauges of this worker: what is not committed yet, how old it is, and what does not fit the log.

    The brokers are asked for the end offsets: the consumer learns them only by fetching, and does not fetch while
    paused.
    """
    topics, consumer = source_topics(app.settings), app.consumer
    partitions = [tp for tp in consumer.assignment() if tp.topic in topics]
    ends = await consumer.highwaters(*partitions)
    started = consumer.started()
    lags = {tp: ends[tp] - consumer.committed_upto(tp) for tp in partitions}
    oldest = await consumer.oldest_unprocessed([tp for tp, lag in lags.items() if lag > 0])
    now = utcnow().timestamp()
    for topic in topics:
        of_topic = [tp for tp in partitions if tp.topic == topic]
        # A commit beyond the end must not hide the lag of another partition.
        CONSUMER_LAG.labels(topic=topic).set(sum(max(lags[tp], 0) for tp in of_topic))
        COMMITS_BEYOND_END.labels(topic=topic).set(sum(max(-lags[tp], 0) for tp in of_topic))
        PARTITIONS_STANDING_STILL.labels(topic=topic).set(sum(tp not in started for tp in of_topic))
        RECORDS_HELD.labels(topic=topic).set(sum(consumer.held(tp) for tp in of_topic))
        times = [oldest[tp] / 1000 for tp in of_topic if tp in oldest]
        OLDEST_UNPROCESSED.labels(topic=topic).set(max(now - min(times, default=now), 0.0))
