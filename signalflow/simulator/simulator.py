"""Everything that one running simulator consists of. The HTTP server and the control interface both work on it."""

from collections import deque
from dataclasses import dataclass

from signalflow.simulator.api import Api
from signalflow.simulator.config import Config
from signalflow.simulator.faults import Faults
from signalflow.simulator.feeds import FeedLimits, Feeds
from signalflow.simulator.limiter import Limiter
from signalflow.simulator.oauth import Tokens
from signalflow.simulator.pages import Pages
from signalflow.simulator.shapes import PostShapes
from signalflow.simulator.simclock import SimClock
from signalflow.simulator.store import Store
from signalflow.simulator.text import Texts
from signalflow.simulator.world import World

LOG_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request in the log. Times are epoch seconds, real and simulated. Status 0: a fault reset the connection."""

    real: float
    sim: float
    method: str
    path: str
    user_agent: str
    client: str | None
    status: int


class Simulator:
    """`requests` counts all requests; `entries` is the log of the last ones, oldest first."""

    def __init__(self, config: Config, store: Store, world: World, clock: SimClock) -> None:
        self.store = store
        self.world = world
        self.clock = clock
        self.texts = Texts(world.parameters.corpus)
        self.requests = 0
        self.faults = Faults()
        self.limiter = Limiter(config.limit, config.window)
        self.feed_limits = FeedLimits(config)
        self.tokens = Tokens(config.clients, config.accounts, config.token_seconds)
        self.entries: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)
        self.pages = Pages(world, config.bad_member)
        shapes = PostShapes(self.texts.of)
        self.api = Api(world, shapes, self.pages)
        self.feeds = Feeds(world, shapes, self.pages, config.next_links)
        self._limits_clock = clock.real if config.limits_clock == "real" else clock.now

    def limits_now(self) -> float:
        """The time by which rate limits and token lifetimes go, in epoch seconds."""
        return self._limits_clock()

    def log_request(self, method: str, path: str, user_agent: str, client: str | None, status: int) -> None:
        """Add a request to the log and count it."""
        self.requests += 1
        self.entries.append(
            LoggedRequest(self.clock.real(), self.clock.now(), method, path, user_agent, client, status)
        )
