"""The configuration of a simulated Reddit.

`Parameters` decide the posts, and are stored with them. The other fields of `Config` may change at each start.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from signalflow.errors import Invalid

DAY = 86_400.0
# A slot of one minute has 45,000 ids. Above this activity the busiest minutes would run out of them.
MAX_ACTIVITY = 300.0
DEFAULT_CLIENTS = {"simulator": "simulator", "simulator_installed": ""}


@dataclass(frozen=True, slots=True)
class Parameters:
    """They decide every post and its history: two worlds with equal parameters are equal. Times are epoch seconds."""

    seed: int = 1
    epoch: float = 0.0
    """The moment of the first start; posts exist from `history` seconds before it."""
    history: float = DAY
    activity: float = 1.0
    """Multiplies arrivals. At 1, the 115 default subreddits have 17 visible posts a minute together."""
    growth: float = 1.0
    """Speeds up scores and comments, and multiplies the number of planted stories."""
    stories_per_hour: float = 2.5
    """Planted stories an hour, multiplied by `growth`; 0 plants none."""
    opening: bool = False
    """Whether a few planted stories are under way at the first start, whatever `stories_per_hour` is."""
    burst_probability: float = 0.3
    """The chance per day that a subreddit has eight times its posts for 20 minutes."""
    life: float = 1.0
    """Multiplies the rates of removals, deletions and edits; 0 for none."""
    fuzz: float = 1.0
    """Multiplies the random error of every score that is read; 0 shows the true scores."""
    corpus: str = ""
    """An NDJSON file (plain or .gz) whose titles and texts are used instead of generated ones; "" for none."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("activity", 0.0, MAX_ACTIVITY),
            ("growth", 0.01, 10_000.0),
            ("stories_per_hour", 0.0, 3_600.0),
            ("burst_probability", 0.0, 1.0),
            ("life", 0.0, 1.5),
            ("fuzz", 0.0, 10.0),
            ("history", 0.0, 2 * DAY),
            ("epoch", 0.0, 1e11),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise Invalid(f"{name} must be from {low:g} to {high:g}, not {value:g}", field=name)


@dataclass(frozen=True, slots=True)
class Config:
    """How a simulator is run. A `parameters.epoch` of 0 means the time of the first start."""

    parameters: Parameters = Parameters()
    host: str = "127.0.0.1"
    data_dir: Path | None = None
    """Where parameters, clock and changes made by hand are kept; None: nowhere."""
    speed: float = 1.0
    """Simulated seconds per real second."""
    clients: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_CLIENTS))
    """OAuth client ids with their secrets; an installed app has an empty one."""
    accounts: dict[str, str] = field(default_factory=lambda: {"simulator": "simulator"})
    """User names with their passwords, for the password grant."""
    limit: int = 1_000
    window: float = 600.0
    """A client id may make `limit` requests in each window of `window` seconds."""
    limits_clock: Literal["sim", "real"] = "sim"
    """Whether rate limits and token lifetimes follow the simulated or the real clock."""
    feed_limit: int = 1
    feed_window: float = 60.0
    """An address may ask for `feed_limit` feeds in each window of `feed_window` seconds."""
    personal_feeds: dict[str, str] = field(default_factory=lambda: {"simulator": "simulatorsfeed"})
    """User names with the secrets of their personal feeds (`?feed=SECRET&user=NAME`)."""
    personal_feed_limit: int = 10
    """What a user with a personal feed may ask instead, from all addresses together."""
    next_links: bool = False
    """Whether a feed names its next page. Only some of Reddit's feeds do."""
    token_seconds: int = 86_400
    bad_member: Literal["drop", "error"] = "drop"
    """What a private or banned member does to a combined listing: "drop" leaves it out (as in Reddit's code of 2017),
    "error" answers 403 or 404 for the whole listing."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speed) and 0 <= self.speed <= 100_000):
            raise Invalid(f"speed must be from 0 to 100000, not {self.speed:g}", field="speed")
        if min(self.limit, self.feed_limit, self.personal_feed_limit, self.token_seconds) < 1:
            raise Invalid("limit, feed_limit, personal_feed_limit and token_seconds must be at least 1")
        if min(self.window, self.feed_window) <= 0:
            raise Invalid("window and feed_window must be positive")
