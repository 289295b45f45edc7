"""All kinds of faults, one module per family."""

from tests.chaos.faults import brokers, copies, database, fail_points, links, reddit, topics, workers
from tests.chaos.faults.base import Fault

ALL: tuple[Fault, ...] = (
    *workers.FAULTS,
    *fail_points.FAULTS,
    *brokers.FAULTS,
    *database.FAULTS,
    *copies.FAULTS,
    *topics.FAULTS,
    *links.FAULTS,
    *reddit.FAULTS,
)
