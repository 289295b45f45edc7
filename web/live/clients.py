"""Live clients as the fan-out sees them, grouped by filter."""

from dataclasses import dataclass, field

from web.live.kinds import Matches
from web.live.records import Backlog, LiveRecord, Newest

# How many posts the process remembers with their newest observation: more than are observed within an hour.
REMEMBERED_POSTS = 50_000


@dataclass(frozen=True)
class Limits:
    """Limits of one client: posts that may wait, seconds until a frame must be accepted, seconds between heartbeats."""

    waiting_posts: int
    stall_seconds: float
    heartbeat_seconds: float


@dataclass(eq=False)
class Client:
    """One client. `ready` is set once it has accepted all frames, and unset when a frame is delivered."""

    group: "Group"
    heartbeat_due: float
    ready: bool = False
    delivered_at: float = 0.0
    backlog: Backlog = field(default_factory=Backlog)
    # Only while missed records are read from Kafka for a client that resumes. `held`: records that came since it
    # joined. `resumed_to`: the next offsets that will be read for it. `resumed`: the newest observations that it was
    # offered.
    held: Backlog | None = None
    resumed_to: list[int] | None = None
    resumed: Newest = field(default_factory=lambda: Newest(REMEMBERED_POSTS))
    sent: int = 0
    skipped: int = 0
    coalesced: int = 0

    @property
    def waiting(self) -> int:
        """Posts that wait for this client."""
        return len(self.backlog) + (0 if self.held is None else len(self.held))

    @property
    def counted_skipped(self) -> int:
        """Observations that the filter left out since the client joined."""
        skipped, _ = self.group.members[self]
        return self.skipped + self.group.skipped - skipped

    @property
    def counted_coalesced(self) -> int:
        """Observations that a newer one replaced since the client joined."""
        _, coalesced = self.group.members[self]
        waiting = self.backlog.coalesced + (0 if self.held is None else self.held.coalesced)
        return self.coalesced + self.group.coalesced - coalesced + waiting


@dataclass(eq=False)
class Group:
    """Clients with equal filters. Counters are sums since the group was made; `members` has their values at joining."""

    matches: Matches
    members: dict[Client, tuple[int, int]] = field(default_factory=dict)
    skipped: int = 0
    coalesced: int = 0

    def add(self, client: Client) -> None:
        """Add a client."""
        client.group = self
        self.members[client] = (self.skipped, self.coalesced)

    def remove(self, client: Client) -> None:
        """Remove a client, and add its share of the group's counters to its own."""
        skipped, coalesced = self.members.pop(client)
        client.skipped += self.skipped - skipped
        client.coalesced += self.coalesced - coalesced

    def newest_matching(self, fresh: list[LiveRecord]) -> list[LiveRecord]:
        """The newest matching record of each post, in the order of the log, with what only an older one tells.

        All others count as skipped or coalesced.
        """
        newest: dict[str, LiveRecord] = {}
        matching = 0
        for record in fresh:
            if self.matches(record):
                matching += 1
                older = newest.pop(record.id, None)
                newest[record.id] = record if older is None else record.over(older)
        self.skipped += len(fresh) - matching
        self.coalesced += matching - len(newest)
        return list(newest.values())
