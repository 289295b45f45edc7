"""Who gets what: the pure core of the live stream. No I/O, no clock: the time is passed in, in seconds of any monotonic clock.

Records come in by `take`, in each partition by offset. At each `tick` every client that is ready gets at most one frame. Clients with
equal filters form a group, and those of them that keep up share one frame: its text is made once. A client that does not keep up has a
backlog of its own, of each post the newest observation, until it is ready again or is dropped.

The id of a frame is the low-water mark of what its client has not got: where the log was read to at this tick, moved back to
the first record that waits in each partition. Because what waits leaves in the order of offsets, nothing from the mark on has been sent but
what a newer observation replaced; a client that comes back with the mark misses nothing and sees no post go back in time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from web.live.matching import Matcher
from web.live.protocol import Error, ErrorCode, Filter, Heartbeat, Reset, ResetReason, encode_frame
from web.live.records import Backlog, Newest, Record, Tail
from web.live.token import encode_token

# Of so many posts the newest observation is remembered: more than are looked at again in an hour.
REMEMBERED_POSTS = 50_000
# While a tick has as many, what comes later waits in Kafka: 2,500 a second, at five ticks.
MOST_POSTS_A_FRAME = 500
# Clients of some libraries take no message above 1 MiB; posts have about 1 kB each, but may have 60.
MOST_BYTES_A_FRAME = 900_000
# Each is made for one client alone: a thousand at once would hold up the frames.
MOST_HEARTBEATS_A_TICK = 50


@dataclass(frozen=True)
class Limits:
    """Limits of one client: posts that may wait, seconds a frame may take to be accepted, seconds between heartbeats."""

    waiting_posts: int
    stall_seconds: float
    heartbeat_seconds: float


class Outgoing:
    """One frame: its JSON, its resume token if it has one, and the number of posts in it."""

    def __init__(self, text: str, token: str | None = None, posts: int = 0) -> None:
        self.text = text
        self.posts = posts
        self._token = token

    @cached_property
    def event(self) -> bytes:
        """The frame as a server-sent event, whose id is the resume token."""
        id_ = "" if self._token is None else f"id: {self._token}\n"
        return f"{id_}data: {self.text}\n\n".encode()


@dataclass(eq=False)
class Client:
    """One connection. The shell sets `ready` when all that was delivered has been accepted, and `tick` unsets it."""

    group: "Group"
    heartbeat_due: float
    ready: bool = False
    delivered_at: float = 0.0
    backlog: Backlog = field(default_factory=Backlog)
    # Set while the client gets what it missed from Kafka: what came since it joined, and up to where Kafka was read.
    held: Backlog | None = None
    replayed_to: list[int] | None = None
    replayed: Newest = field(default_factory=lambda: Newest(REMEMBERED_POSTS))
    sent: int = 0
    skipped: int = 0
    coalesced: int = 0

    @property
    def waiting(self) -> int:
        """Posts that wait for this client."""
        return len(self.backlog) + (0 if self.held is None else len(self.held))


@dataclass(eq=False)
class Group:
    """Clients with equal filters. Counters are sums since the group was made; a member's share begins with its joining."""

    matches: Matcher
    members: dict[Client, tuple[int, int]] = field(default_factory=dict)
    skipped: int = 0
    coalesced: int = 0


class Ticked(NamedTuple):
    """What a tick decided: frames to deliver, and clients to be dropped because they are too slow."""

    frames: list[tuple[Client, Outgoing]]
    slow: list[Client]


class Fanout:
    """The state of the live stream in one process. `read` and `told` are the next offsets: read at all, and at the last tick."""

    def __init__(self, topic: UUID, positions: Sequence[int], limits: Limits, tail_records: int) -> None:
        self.topic = topic
        self.read = list(positions)
        self.told = list(positions)
        self.stale_since: datetime | None = None
        self.newest = Newest(REMEMBERED_POSTS)
        self._limits = limits
        self._tail = Tail(self.read, tail_records)
        self._fresh: list[Record] = []
        self._groups: dict[object, Group] = {}

    # --- records

    def take(self, partition: int, offset: int, record: Record | None) -> None:
        """The next record of a partition; None for one that no client gets."""
        self.read[partition] = offset + 1
        if record is not None and not self.newest.is_stale(record):
            self.newest.note(record)
            self._tail.add(record)
            self._fresh.append(record)

    def primed(self) -> None:
        """What was read so far is for clients that come back, not for those that are here."""
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

    def join(self, wanted: Filter, now: float, since: Sequence[int] | None = None) -> Client:
        """A new client; `since`: the next offsets of what it has, none of them beyond `told`.

        When the tail no longer has all of it, `client.replayed_to` says where to replay from, up to what `told` is now.
        """
        client = Client(self._group(Matcher(wanted)), now + self._limits.heartbeat_seconds, delivered_at=now)
        self._enter(client)
        if since is not None:
            if self._tail.covers(since):
                self._offer(client, self._tail.between(since, self.told))
            else:
                client.replayed_to, client.held = list(since), Backlog()
        return client

    def leave(self, client: Client) -> None:
        """The client is gone."""
        group = client.group
        skipped, coalesced = group.members.pop(client)
        client.skipped += group.skipped - skipped
        client.coalesced += group.coalesced - coalesced
        if not group.members:
            del self._groups[group.matches.key]

    def change(self, client: Client, wanted: Filter) -> None:
        """Replace the filter. What waits and matches it is still sent; what came since the last tick is judged by it."""
        self.leave(client)
        client.group = self._group(Matcher(wanted))
        self._enter(client)
        for waiting in (client.backlog, client.held):
            if waiting is not None:
                client.skipped += waiting.keep(client.group.matches)

    def replay(self, client: Client, records: Iterable[Record], positions: Sequence[int]) -> None:
        """Records that a client missed, read again from Kafka up to these positions."""
        assert client.replayed_to is not None
        for record in records:
            if not self.newest.is_stale(record) and not client.replayed.is_stale(record):
                client.replayed.note(record)
                self._offer(client, (record,))
        client.replayed_to = list(positions)

    def replayed(self, client: Client) -> None:
        """The client has been offered all that it missed; now follows what came since it joined."""
        held, client.held, client.replayed_to = client.held, None, None
        client.replayed = Newest(0)
        assert held is not None
        client.coalesced += held.coalesced
        for record in held.drain():
            client.backlog.add(record)

    def heartbeat(self, client: Client) -> Outgoing:
        """A heartbeat with the counters of this client."""
        skipped, coalesced = client.group.members[client]
        beat = Heartbeat(
            id=self._token_of(client),
            sent=client.sent,
            skipped=client.skipped + client.group.skipped - skipped,
            coalesced=client.coalesced
            + client.group.coalesced
            - coalesced
            + client.backlog.coalesced
            + (0 if client.held is None else client.held.coalesced),
            stale_since=self.stale_since,
        )
        return Outgoing(encode_frame(beat).decode(), beat.id)

    def beat_soon(self) -> None:
        """Something that heartbeats tell has changed: they are all due."""
        for client in self.clients:
            client.heartbeat_due = 0.0

    def reset(self, client: Client, reason: ResetReason) -> Outgoing:
        """The news that what this client missed cannot be sent."""
        token = self._token_of(client)
        return Outgoing(encode_frame(Reset(id=token, reason=reason)).decode(), token)

    # --- time

    def tick(self, now: float) -> Ticked:
        """Frames for all clients that are ready, heartbeats that are due among them. At least `live_frame_ms` after the one before."""
        fresh, self._fresh = self._fresh, []
        self.told = self.read.copy()
        frames: list[tuple[Client, Outgoing]] = []
        slow: list[Client] = []
        beats = 0
        token = encode_token(self.topic, self.told) if fresh else ""
        for group in self._groups.values():
            batch = _matching(group, fresh)
            shared: Outgoing | None = None
            is_shareable = bool(batch) and sum(record.size for record in batch) <= MOST_BYTES_A_FRAME
            for client in group.members:
                frame = None
                if client.ready and is_shareable and not client.backlog and client.held is None:
                    frame = shared = shared or _frame(batch, token)
                else:
                    frame = self._of_its_own(client, batch)
                if frame is None and client.ready and client.heartbeat_due <= now and beats < MOST_HEARTBEATS_A_TICK:
                    beats += 1
                    frame = self.heartbeat(client)
                    client.heartbeat_due = now + self._limits.heartbeat_seconds
                if frame is not None:
                    client.ready, client.delivered_at = False, now
                    client.sent += frame.posts
                    frames.append((client, frame))
                if self._is_slow(client, now):
                    slow.append(client)
        return Ticked(frames, slow)

    def _of_its_own(self, client: Client, batch: list[Record]) -> Outgoing | None:
        """The frame of a client that shares none, if it is ready for one; what it does not get now waits."""
        waiting = client.backlog if client.held is None else client.held
        for record in batch:
            waiting.add(record)
        if not client.ready or not client.backlog:
            return None
        return _frame(client.backlog.take(MOST_POSTS_A_FRAME, MOST_BYTES_A_FRAME), self._token_of(client))

    def _is_slow(self, client: Client, now: float) -> bool:
        return client.waiting > self._limits.waiting_posts or (
            not client.ready and now - client.delivered_at > self._limits.stall_seconds
        )

    def _token_of(self, client: Client) -> str:
        positions = self.told if client.replayed_to is None else client.replayed_to
        return encode_token(self.topic, client.backlog.low_water(positions))

    def _offer(self, client: Client, records: Iterable[Record]) -> None:
        for record in records:
            if client.group.matches(record):
                client.backlog.add(record)
            else:
                client.skipped += 1

    def _group(self, matches: Matcher) -> Group:
        return self._groups.setdefault(matches.key, Group(matches))

    @staticmethod
    def _enter(client: Client) -> None:
        client.group.members[client] = (client.group.skipped, client.group.coalesced)


def _matching(group: Group, fresh: list[Record]) -> list[Record]:
    """Of each post the newest record that the group wants. A later record is the newer one: stale ones were not taken."""
    of_post: dict[str, Record] = {}
    matching = 0
    for record in fresh:
        if group.matches(record):
            matching += 1
            of_post.pop(record.id, None)
            of_post[record.id] = record
    group.skipped += len(fresh) - matching
    group.coalesced += matching - len(of_post)
    return list(of_post.values())


def _frame(records: list[Record], token: str) -> Outgoing:
    posts = ",".join([record.text for record in records])
    return Outgoing(f'{{"type":"posts","id":"{token}","posts":[{posts}]}}', token, len(records))


def error_frame(code: ErrorCode, message: str) -> Outgoing:
    """The news that a message was refused, or why the connection ends."""
    return Outgoing(encode_frame(Error(code=code, message=message)).decode())
