"""The simulated subreddits: the project's 115 defaults, and four for tests that cannot be read."""

import csv
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from signalflow.simulator.vocabulary import THEMES, theme_of

Access = Literal["public", "private", "quarantined", "gated", "banned"]

# Visible posts a minute of one subreddit, as a mean over 24 hours: the rate of all subreddits of a priority, divided by
# their number in the default list.
PRIORITY_RATES = {"fast": 9.5 / 26, "medium": 5.7 / 45, "slow": 1.9 / 44}
SUBSCRIBERS = {"fast": 20_000_000, "medium": 3_000_000, "slow": 600_000}
UNREADABLE: dict[str, Access] = {
    "sim_private": "private",
    "sim_quarantined": "quarantined",
    "sim_gated": "gated",
    "sim_banned": "banned",
}


@dataclass(slots=True)
class Subreddit:
    """`rate`: visible posts a minute at activity 1. `self_share`: share of text posts. `chat`: comments per point."""

    index: int
    name: str
    priority: str
    rate: float
    theme: str
    subscribers: int
    self_share: float
    chat: float
    access: Access = "public"

    @property
    def key(self) -> str:
        """The name in lower case, as names are compared."""
        return self.name.lower()

    @property
    def id(self) -> str:
        """A stable function of the name, in base 36 without t5_."""
        return base36(36**4 * 2 + stable_number(self.key) % (36**4 * 30))


def base36(number: int) -> str:
    """A number of at least 0, written as Reddit writes ids."""
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        if not number:
            return digits


def stable_number(text: str) -> int:
    """A 64-bit number that depends on the text only and is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def default_subreddits() -> list[Subreddit]:
    """The 115 defaults with the rates of their priorities, then the unreadable ones, which have no posts."""
    text = files("signalflow").joinpath("data/subreddits.csv").read_text(encoding="utf-8")
    rows = [(row["name"], row["priority"]) for row in csv.DictReader(text.splitlines())]
    found = [_subreddit(index, *row, PRIORITY_RATES[row[1]]) for index, row in enumerate(rows)]
    for name, access in UNREADABLE.items():
        hidden = _subreddit(len(found), name, "slow", 0.0)
        hidden.access = access
        found.append(hidden)
    return found


def _subreddit(index: int, name: str, priority: str, rate: float) -> Subreddit:
    theme = theme_of(name)
    spread = stable_number(name.lower()) / 2**64
    return Subreddit(
        index=index,
        name=name,
        priority=priority,
        rate=rate,
        theme=theme,
        subscribers=int(SUBSCRIBERS[priority] * (0.4 + 1.8 * spread)),
        self_share=THEMES[theme].self_share,
        chat=THEMES[theme].chat * (0.6 + 0.8 * spread),
    )
