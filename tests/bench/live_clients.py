"""Many cheap clients of the live stream in one process: they count frames, and read the sender's time in them.

`python -m tests.bench.live_clients PORT CLIENTS SAMPLED SECONDS < headers` prints `ready` when all clients are
connected. When SECONDS have passed and no more observations come, it prints a JSON object. Every client checks the
first observation of a frame, which has waited longest; the first SAMPLED clients check all of them. Times are
milliseconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import asyncio
import json
import os
import re
import resource
import sys
import time

from tests.bench.statistics import quantiles

SENT = re.compile(rb'"author":"(\d+)"')
PING, TEXT, CLOSE = 0x9, 0x1, 0x8
QUIET_SECONDS = 3.0


class Client(asyncio.Protocol):
    """A WebSocket that answers pings."""

    def __init__(self, request: bytes, checks_all: bool, totals: "Totals") -> None:
        self._request, self._checks_all, self._totals = request, checks_all, totals
        self._buffer = bytearray()
        self._is_open = False
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._totals.lost += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._is_open, self._buffer = True, bytearray(rest)
            self.opened.set_result(None)
        while (size := self._frame()) is not None:
            del self._buffer[:size]

    def _frame(self) -> int | None:
        """Take the first frame of the buffer; its size, or None while it is incomplete."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        start, length = 2, buffer[1] & 0x7F
        if length >= 126:
            extended = 2 if length == 126 else 8
            start += extended
            length = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + length:
            return None
        opcode = buffer[0] & 0xF
        if opcode == TEXT:
            self._totals.take(buffer, start, self._checks_all)
        elif opcode == PING:
            # A pong, masked with zeros, so the bytes stay as they are.
            self._transport.write(bytes([0x8A, 0x80 | length]) + bytes(4) + bytes(buffer[start : start + length]))
        return start + length


class Totals:
    """What all clients have received."""

    def __init__(self) -> None:
        self.frames = self.bytes = self.lost = 0
        self.oldest: list[float] = []
        self.all: list[float] = []
        self.last = time.monotonic()

    def take(self, buffer: bytearray, start: int, checks_all: bool) -> None:
        now = time.monotonic_ns()
        first = SENT.search(buffer, start)
        if first is None:
            return
        self.last = now / 1e9
        self.frames += 1
        self.bytes += len(buffer)
        self.oldest.append((now - int(first[1])) / 1e6)
        if checks_all:
            self.all += [(now - int(sent)) / 1e6 for sent in SENT.findall(buffer, start)]


async def main(port: int, clients: int, sampled: int, seconds: float, headers: str) -> None:
    loop = asyncio.get_running_loop()
    request = (
        f"GET /ws/posts/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n\r\n"
    ).encode()
    totals = Totals()
    for number in range(clients):
        _, client = await loop.create_connection(
            lambda number=number: Client(request, number < sampled, totals), "127.0.0.1", port
        )
        await asyncio.wait_for(client.opened, 30)
    print("ready", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end or time.monotonic() - totals.last < QUIET_SECONDS:
        await asyncio.sleep(0.2)
    used = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "frames": totals.frames,
        "mean_buffer_bytes": totals.bytes // max(totals.frames, 1),
        "lost": totals.lost,
        "sampled": {"observations": len(totals.all)} | quantiles(totals.all, "ms"),
        "oldest_of_each_frame": quantiles(totals.oldest, "ms"),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
    }
    print(json.dumps(result), flush=True)
    # Skip a thousand closing handshakes, which are not part of the measurement.
    os._exit(0)


if __name__ == "__main__":
    port, clients, sampled = map(int, sys.argv[1:4])
    asyncio.run(main(port, clients, sampled, float(sys.argv[4]), sys.stdin.read().strip()))
