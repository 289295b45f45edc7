"""TCP ports on the loopback address, and which of them a local stack uses."""

import random
import socket
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
# Below the range from which kernels take ports of outgoing connections (Linux: from 32768, IANA: from 49152), so that a
# server that restarts finds its port free again.
_FREE_PORT_RANGE = range(15_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # Servers set this option too: a port is free even if old connections on it are still in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts connections on this loopback port; waits at most `timeout` seconds."""
    try:
        socket.create_connection((LOOPBACK, port), timeout).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """`count` different ports that were free a moment ago. They are random, so that two callers rarely get the same."""
    found: list[int] = []
    while len(found) < count:
        candidate = random.choice(_FREE_PORT_RANGE)
        if candidate not in found and is_free(candidate):
            found.append(candidate)
    return found


@dataclass(frozen=True)
class PortPlan:
    """The ports of a stack, counted from `base`.

    API +0, simulator +1, PostgreSQL +2, brokers +3 to +5, controllers +6 to +8, workers from +10.
    """

    base: int

    @property
    def api(self) -> int:
        """The API and the dashboard."""
        return self.base

    @property
    def simulator(self) -> int:
        """The stand-in for Reddit."""
        return self.base + 1

    @property
    def postgres(self) -> int:
        """PostgreSQL."""
        return self.base + 2

    def brokers(self, count: int) -> list[int]:
        """Kafka's brokers."""
        return [self.base + 3 + index for index in range(count)]

    def controllers(self, count: int) -> list[int]:
        """Kafka's controllers."""
        return [self.base + 6 + index for index in range(count)]

    def worker(self, number: int) -> int:
        """The web views of a worker; workers are counted from 1."""
        return self.base + 9 + number
