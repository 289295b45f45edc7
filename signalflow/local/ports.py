"""TCP ports on the loopback address."""

import random
import socket

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
