"""The connections that agents and timers use.

They belong to the worker's event loop, so they are made when it starts.
"""

from collections.abc import Callable
from typing import Protocol

from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.publisher import Publisher
from signalflow.storage.pool import Pool


class WorkerResources(Protocol):
    """The connections of one worker."""

    @property
    def pool(self) -> Pool:
        """The pool of database connections."""
        ...

    @property
    def producer(self) -> ConfirmedProducer:
        """Sends outputs, changelog records and dead letters."""
        ...

    @property
    def publisher(self) -> Publisher:
        """Publishes the posts that the poller found."""
        ...

    @property
    def comment_publisher(self) -> Publisher:
        """Publishes the comments that the poller found."""
        ...


# Gives the resources of a worker that has started.
ResourcesOf = Callable[[], WorkerResources]
