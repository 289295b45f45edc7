"""Planted stories, which a good detector should find. Each has a number and is drawn from a generator of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, log
from random import Random
from typing import Literal

from signalflow.simulator.config import Parameters
from signalflow.simulator.headlines import Headlines
from signalflow.simulator.subreddits import Subreddit

StoryKind = Literal["viral", "everywhere", "burst"]
# Of ten stories six are single posts that take off, three are told in several subreddits, one is a burst in one.
KINDS: tuple[StoryKind, ...] = (
    "viral",
    "viral",
    "everywhere",
    "viral",
    "burst",
    "viral",
    "everywhere",
    "viral",
    "viral",
    "everywhere",
)
# Stories around the first start, if the parameters want them: seconds from it to their beginning. A burst is told in a
# subreddit of medium size, where it is no matter of chance.
OPENING: tuple[tuple[StoryKind, float], ...] = (
    ("viral", -1_500.0),
    ("everywhere", -900.0),
    ("burst", -720.0),
    ("viral", -360.0),
    ("burst", -240.0),
    ("viral", 60.0),
)
# The longest time from a story's beginning to its last post, at growth 1.
SPAN = 7_200.0


@dataclass(frozen=True, slots=True)
class PlantedPost:
    """One post of a story; rise, tau and talk as in Post."""

    created: float
    subreddit: Subreddit
    title: str
    rise: float
    tau: float
    talk: float
    text_seed: int


@dataclass(frozen=True, slots=True)
class Story:
    """A story and its posts, in order of creation."""

    id: str
    kind: StoryKind
    posts: tuple[PlantedPost, ...]

    @property
    def start(self) -> float:
        """When its first post is created, in epoch seconds."""
        return self.posts[0].created


class Stories:
    """All stories of a world. One begins in each interval of 3600 / (stories_per_hour * growth) seconds.

    If the parameters want it, those of OPENING begin around the first start.
    """

    def __init__(self, parameters: Parameters, subreddits: Sequence[Subreddit]) -> None:
        self._parameters = parameters
        self._subreddits = [sub for sub in subreddits if sub.rate]
        self._sums = list(accumulate(sub.rate for sub in self._subreddits))
        per_hour = parameters.stories_per_hour * parameters.growth
        self._interval = 3_600.0 / per_hour if per_hour and self._subreddits else 0.0
        self._span = SPAN / parameters.growth
        self._story = lru_cache(maxsize=4_096)(self._draw)
        self._opening = self._draw_opening() if parameters.opening and self._subreddits else []

    def between(self, start: float, end: float) -> list[Story]:
        """The stories that may have a post created in [start, end)."""
        opening = [story for story in self._opening if story.start < end and start <= story.posts[-1].created]
        if not self._interval:
            return opening
        first = int((start - self._span) // self._interval)
        return [*opening, *(self._story(number) for number in range(first, int(end // self._interval) + 1))]

    def planted(self, start: float, end: float) -> list[tuple[Story, PlantedPost]]:
        """The posts of stories created in [start, end), by time, each with its story."""
        found = [(s, post) for s in self.between(start, end) for post in s.posts if start <= post.created < end]
        return sorted(found, key=lambda pair: pair[1].created)

    def _draw(self, number: int) -> Story:
        rng = Random(f"{self._parameters.seed}:story:{number}")
        start = (number + rng.random()) * self._interval
        lead = rng.choices(self._subreddits, cum_weights=self._sums)[0]
        return self._told(f"story-{number}", KINDS[number % len(KINDS)], start, lead, rng)

    def _draw_opening(self) -> list[Story]:
        rng = Random(f"{self._parameters.seed}:opening")
        medium = [sub for sub in self._subreddits if sub.priority == "medium"] or self._subreddits
        rng.shuffle(medium)
        stories = []
        for number, (kind, after) in enumerate(OPENING):
            usual = rng.choices(self._subreddits, cum_weights=self._sums)[0]
            lead = medium[number % len(medium)] if kind == "burst" else usual
            stories.append(self._told(f"opening-{number}", kind, self._parameters.epoch + after, lead, rng))
        return stories

    def _told(self, id_: str, kind: StoryKind, start: float, lead: Subreddit, rng: Random) -> Story:
        if kind == "viral":
            where, span, rise, hours = [lead], 0.0, 50_000.0, 1.0
        elif kind == "everywhere":
            where, span, rise, hours = self._around(lead, rng), 2_400.0, 6_000.0, 1.5
        else:
            where, span, rise, hours = [lead] * rng.randint(15, 30), 1_200.0, 300.0, 1.0
        headlines = Headlines(lead, rng)
        times = sorted(rng.random() * span / self._parameters.growth for _ in where)
        posts = tuple(
            self._planted(start + after - times[0], sub, headlines, rise, hours, rng)
            for after, sub in zip(times, where, strict=True)
        )
        return Story(id=id_, kind=kind, posts=posts)

    def _around(self, lead: Subreddit, rng: Random) -> list[Subreddit]:
        """The subreddits that tell a story: the lead, then related ones, then others."""
        related = [sub for sub in self._subreddits if sub.theme == lead.theme and sub is not lead]
        others = [sub for sub in self._subreddits if sub.theme != lead.theme]
        rng.shuffle(related)
        rng.shuffle(others)
        return [lead, *(related[:3] + others)[: rng.randint(3, 7)]]

    def _planted(
        self, created: float, sub: Subreddit, headlines: Headlines, rise: float, hours: float, rng: Random
    ) -> PlantedPost:
        rise = exp(rng.gauss(log(rise), 0.4))
        return PlantedPost(
            created=created,
            subreddit=sub,
            title=headlines.next(),
            rise=rise,
            tau=hours * 3_600.0 * exp(rng.gauss(0.0, 0.3)) / self._parameters.growth,
            talk=rise * 0.05 * exp(rng.gauss(0.0, 0.4)),
            text_seed=rng.getrandbits(48),
        )
