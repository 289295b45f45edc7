"""Which client gets which records: the pure core of the live stream.

The time is passed in, in seconds of any monotonic clock. `take` adds records, in each partition by offset. At each
`tick` every client that is ready gets at most one frame. Clients with equal filters form a group. The members that keep
up share one frame, whose text is made once. A client that does not keep up has a backlog of its own, which holds the
newest observation of each post, until the client is ready again or is dropped.

The id of a frame is its client's low-water mark: the offsets that were read until this tick, moved back in each
partition to the first record that waits for the client. Records that wait leave in the order of offsets. So no record
from the mark on has been sent, except those that a newer observation replaced. A client that resumes from the mark
misses nothing, and sees no post go back in time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from web.live.clients import REMEMBERED_POSTS, Client, Group, Limits
from web.live.frames import OutgoingFrame, frame_with_token, records_frame
from web.live.kinds import POSTS, Kind
from web.live.protocol import Heartbeat, Reset, ResetReason
from web.live.records import Backlog, LiveRecord, Newest, Tail
from web.live.token import encode_token

# Once a tick has this many posts, the next ones wait in Kafka: at five ticks a second, 2,500 posts a second.
MOST_POSTS_A_FRAME = 500
# Some client libraries refuse a message above 1 MiB. A post has about 1 kB, but may have 60 kB.
MOST_BYTES_A_FRAME = 900_000
# Each heartbeat is made for one client: a thousand at once would delay the frames.
MOST_HEARTBEATS_A_TICK = 50


class TickResult(NamedTuple):
    """Frames to deliver, and clients to drop because they are too slow.

    `coalesced`: records that a newer one replaced since the last tick while they waited, summed over clients.
    """

    frames: list[tuple[Client, OutgoingFrame]]
    slow: list[Client]
    coalesced: int


class Fanout:
    """The state of the live stream in one process.

    `read` has the next offset to read of each partition, `told` what `read` was at the last tick.
    """

    def __init__(
        self, topic: UUID, offsets: Sequence[int], limits: Limits, tail_records: int, kind: Kind = POSTS
    ) -> None:
        self.topic = topic
        self.read = list(offsets)
        self.told = list(offsets)
        self.stale_since: datetime | None = None
        self.newest = Newest(REMEMBERED_POSTS)
        self._limits, self._kind = limits, kind
        self._tail = Tail(self.read, tail_records)
        self._fresh: list[LiveRecord] = []
        self._groups: dict[object, Group] = {}

    # --- records

    def take(self, partition: int, offset: int, record: LiveRecord | None) -> None:
        """Add the next record of a partition; None for a record that no client gets."""
        self.read[partition] = offset + 1
        if record is not None and not self.newest.is_stale(record):
            self.newest.note(record)
            self._tail.add(record)
            self._fresh.append(record)

    def finish_priming(self) -> None:
        """End the start-up. The records so far stay in the tail for clients that resume.

        Clients that join from now on get only later records.
        """
        self._fresh.clear()
        self.told = self.read.copy()

    @property
    def room(self) -> int:
        """Records that may be taken before the next tick."""
        return max(MOST_POSTS_A_FRAME - len(self._fresh), 0)

    # --- clients

    @property
    def clients(self) -> list[Client]:
        """All clients."""
        return [client for group in self._groups.values() for client in group.members]

    def join(self, wanted: Struct, now: float, since: Sequence[int] | None = None) -> Client:
        """A new client. `since` has the next offsets of a client that resumes, none of them beyond `told`.

        When the tail no longer has all records from there on, `client.resumed_to` is set: they must be read from Kafka,
        up to what `told` is now.
        """
        group = self._group(wanted)
        client = Client(group, now + self._limits.heartbeat_seconds, delivered_at=now)
        group.add(client)
        if since is not None:
            if self._tail.covers(since):
                self._offer(client, self._tail.between(since, self.told))
            else:
                client.resumed_to, client.held = list(since), Backlog()
        return client

    def leave(self, client: Client) -> None:
        """Remove a client."""
        group = client.group
        group.remove(client)
        if not group.members:
            del self._groups[group.matches.key]

    def change(self, client: Client, wanted: Struct) -> None:
        """Replace the filter. The new filter also applies to records that wait, and to records since the last tick."""
        self.leave(client)
        self._group(wanted).add(client)
        for waiting in (client.backlog, client.held):
            if waiting is not None:
                client.skipped += waiting.keep(client.group.matches)

    def offer_missed(self, client: Client, records: Iterable[LiveRecord], offsets: Sequence[int]) -> None:
        """Records that a client missed, read from Kafka up to these offsets."""
        assert client.resumed_to is not None
        for record in records:
            if not self.newest.is_stale(record) and not client.resumed.is_stale(record):
                client.resumed.note(record)
                self._offer(client, (record,))
        client.resumed_to = list(offsets)

    def finish_resuming(self, client: Client) -> None:
        """The client has been offered all records that it missed; those that came since it joined follow."""
        held, client.held, client.resumed_to = client.held, None, None
        client.resumed = Newest(0)
        assert held is not None
        client.coalesced += held.coalesced
        for record in held.drain():
            client.backlog.add(record)

    def heartbeat(self, client: Client) -> OutgoingFrame:
        """A heartbeat with the counters of this client."""
        return frame_with_token(
            Heartbeat(
                id=self._token_of(client),
                sent=client.sent,
                skipped=client.counted_skipped,
                coalesced=client.counted_coalesced,
                stale_since=self.stale_since,
            )
        )

    def beat_soon(self) -> None:
        """Make the heartbeats of all clients due, because their content has changed."""
        for client in self.clients:
            client.heartbeat_due = 0.0

    def reset(self, client: Client, reason: ResetReason) -> OutgoingFrame:
        """The frame that tells a client that records which it missed cannot be sent."""
        return frame_with_token(Reset(id=self._token_of(client), reason=reason))

    # --- time

    def tick(self, now: float) -> TickResult:
        """The next frame of each client that is ready, due heartbeats included.

        At most one tick per `live_frame_ms`.
        """
        fresh, self._fresh = self._fresh, []
        self.told = self.read.copy()
        frames: list[tuple[Client, OutgoingFrame]] = []
        slow: list[Client] = []
        beats = coalesced = 0
        token = encode_token(self.topic, self.told) if fresh else ""
        for group in self._groups.values():
            batch = group.newest_matching(fresh)
            shared: OutgoingFrame | None = None
            is_shareable = bool(batch) and sum(record.size for record in batch) <= MOST_BYTES_A_FRAME
            for client in group.members:
                frame = None
                if client.ready and is_shareable and not client.backlog and client.held is None:
                    frame = shared = shared or records_frame(self._kind.name, batch, token)
                else:
                    waiting = client.backlog if client.held is None else client.held
                    before = waiting.coalesced
                    frame = self._own_frame(client, waiting, batch)
                    coalesced += waiting.coalesced - before
                if frame is None and client.ready and client.heartbeat_due <= now and beats < MOST_HEARTBEATS_A_TICK:
                    beats += 1
                    frame = self.heartbeat(client)
                    client.heartbeat_due = now + self._limits.heartbeat_seconds
                if frame is not None:
                    client.ready, client.delivered_at = False, now
                    client.sent += frame.records
                    frames.append((client, frame))
                if self._is_slow(client, now):
                    slow.append(client)
        return TickResult(frames, slow, coalesced)

    def _own_frame(self, client: Client, waiting: Backlog, batch: list[LiveRecord]) -> OutgoingFrame | None:
        """A frame for this client alone, if it is ready and records wait. The other records keep waiting."""
        for record in batch:
            waiting.add(record)
        if not client.ready or not client.backlog:
            return None
        taken = client.backlog.take(MOST_POSTS_A_FRAME, MOST_BYTES_A_FRAME)
        return records_frame(self._kind.name, taken, self._token_of(client))

    def _is_slow(self, client: Client, now: float) -> bool:
        return client.waiting > self._limits.waiting_posts or (
            not client.ready and now - client.delivered_at > self._limits.stall_seconds
        )

    def _token_of(self, client: Client) -> str:
        offsets = self.told if client.resumed_to is None else client.resumed_to
        return encode_token(self.topic, client.backlog.low_water(offsets))

    def _offer(self, client: Client, records: Iterable[LiveRecord]) -> None:
        for record in records:
            if client.group.matches(record):
                client.backlog.add(record)
            else:
                client.skipped += 1

    def _group(self, wanted: Struct) -> Group:
        matcher = self._kind.matcher(wanted)
        return self._groups.setdefault(matcher.key, Group(matcher))
