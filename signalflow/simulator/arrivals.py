"""When posts arrive, and what becomes of them. Each minute is drawn from a random generator of its own.

The distributions were measured on Reddit (January 2026) or estimated; the source is the reference for ingestion.
"""

from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import exp, pi, sin
from random import Random

from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.posts import Kind, LifeEvent, Post
from signalflow.simulator.subreddits import Subreddit

SLOT = 60.0
# Ids within a slot follow the time of creation. The rest of the 36^3 is room for posts at the very end of a full slot.
ID_STEPS = 45_000
IDS_PER_SLOT = 36**3
# Ids have seven digits for three years of simulated time, so that the order of texts is the order of numbers.
FIRST_NUMBER = 36**6

BURST_FACTOR = 8.0
BURST_SECONDS = 1_200.0
SELF_SHARE, GALLERY_SHARE, NSFW_SHARE = 0.369, 0.126, 0.457
FLAGGED_AT_BIRTH = 0.16
FLAG_KINDS = (("reddit", 0.47), ("moderator", 0.32), ("automod_filtered", 0.14), ("deleted", 0.07))
GONE_LATER = 0.195
GONE_KINDS = (("deleted", 0.69), ("moderator", 0.16), ("reddit", 0.11), ("automod_filtered", 0.04))
RESTORED, EDITED, TITLE_EDITED = 0.017, 0.036, 0.057
LIFE_SECONDS = 36 * 3_600.0
MAX_RISE = 150_000.0


def diurnal(t: float) -> float:
    """The activity at a time of day. Its mean is 1; it is lowest shortly after midnight UTC, highest after noon."""
    return 1.0 + 0.6 * sin(2 * pi * (t / DAY - 0.3))


class Arrivals:
    """Draws the posts of a slot of 60 s. Equal parameters give equal posts, in whatever order slots are asked for."""

    def __init__(self, parameters: Parameters, subreddits: Sequence[Subreddit]) -> None:
        self._parameters = parameters
        self._subreddits = subreddits
        # The rates count the posts that listings show. Posts flagged at birth come on top.
        unflagged = 1.0 - min(FLAGGED_AT_BIRTH * parameters.life, 0.9)
        self._rates = [sub.rate * parameters.activity / unflagged for sub in subreddits]
        weight = sum(sub.rate for sub in subreddits)
        mean = sum(sub.rate * sub.self_share for sub in subreddits) / weight if weight else 1.0
        self._self_scale = SELF_SHARE / mean
        self._bursts_of_day = lru_cache(maxsize=8)(self._draw_bursts)

    def bursts(self, day: int) -> list[tuple[int, float]]:
        """The bursts that begin on a day (days since 1970), each as the subreddit's index and its start."""
        return self._bursts_of_day(day)

    def _draw_bursts(self, day: int) -> list[tuple[int, float]]:
        rng = Random(f"{self._parameters.seed}:bursts:{day}")
        found = []
        for sub in self._subreddits:
            chance, at = rng.random(), rng.random()
            if chance < self._parameters.burst_probability and sub.rate:
                found.append((sub.index, day * DAY + at * (DAY - BURST_SECONDS)))
        return found

    def draw(self, start: float) -> tuple[list[tuple[float, Subreddit]], Random]:
        """Arrivals of the slot that begins at `start`, in order, and the generator to draw the posts from."""
        rng = Random(f"{self._parameters.seed}:slot:{start:.0f}")
        rates = self._rates
        active = [i for i, at in self.bursts(int(start // DAY)) if at <= start + SLOT / 2 < at + BURST_SECONDS]
        if active:
            rates = rates.copy()
            for index in active:
                rates[index] *= BURST_FACTOR
        sums = list(accumulate(rates))
        per_second = sums[-1] * diurnal(start + SLOT / 2) / 60.0
        found: list[tuple[float, Subreddit]] = []
        t = start
        while per_second > 0:
            t += rng.expovariate(per_second)
            if t >= start + SLOT:
                break
            found.append((t, self._subreddits[bisect(sums, rng.random() * sums[-1])]))
        return found, rng

    def post(self, number: int, created: float, subreddit: Subreddit, rng: Random) -> Post:
        """A post with its whole future: score curve, comments, kind and life events."""
        p = self._parameters
        delay = rng.expovariate(1 / 3_600.0) if rng.random() < 0.15 else 0.0
        rise = min(exp(rng.gauss(1.6, 1.9)), MAX_RISE)
        tau = 9_000.0 * exp(rng.gauss(0.0, 0.6)) / p.growth
        talk = subreddit.chat * rise * exp(rng.gauss(0.0, 0.7)) + rng.expovariate(0.5)
        kind = self.kind(subreddit, rng)
        return Post(
            number=number,
            subreddit=subreddit,
            created=created,
            rise=rise,
            tau=tau,
            start=created + delay / p.growth,
            talk=talk,
            ratio=min(0.5 + 0.5 * rng.betavariate(6, 1.2), 1.0),
            kind=kind,
            over_18=rng.random() < NSFW_SHARE,
            text_seed=rng.getrandbits(48),
            life=self._life(created, kind, rng),
        )

    def kind(self, subreddit: Subreddit, rng: Random) -> Kind:
        """Text posts as often as the subreddit has them, scaled to Reddit's mean; the rest as on all of Reddit."""
        if rng.random() < min(subreddit.self_share * self._self_scale, 0.97):
            return "self"
        share = rng.random() * (1 - SELF_SHARE)
        return "gallery" if share < GALLERY_SHARE else "image" if share < 0.35 else "link"

    def _life(self, created: float, kind: Kind, rng: Random) -> tuple[LifeEvent, ...]:
        life = self._parameters.life
        flag, gone, back, edit, title = (rng.random() for _ in range(5))
        events: list[LifeEvent] = []
        if flag < FLAGGED_AT_BIRTH * life:
            events.append(LifeEvent(created, _pick(FLAG_KINDS, rng)))
        elif back < RESTORED * life:
            events.extend(_removed_and_restored(created, rng))
        elif gone < GONE_LATER * life:
            # Half of the posts that go are gone within two and a half hours.
            at = created + min(rng.expovariate(1 / 13_000.0), LIFE_SECONDS)
            events.append(LifeEvent(at, _pick(GONE_KINDS, rng)))
        if kind == "self" and edit < EDITED / SELF_SHARE * life:
            events.append(LifeEvent(created + 120.0 + rng.expovariate(1 / 7_200.0), "edited"))
        if title < TITLE_EDITED * life:
            events.append(LifeEvent(created + 30.0 + rng.expovariate(1 / 120.0), "edited_title"))
        return tuple(sorted(events))


def _removed_and_restored(created: float, rng: Random) -> list[LifeEvent]:
    """Half are held by a filter and approved within minutes (a late insert); half are removed later and put back."""
    if rng.random() < 0.5:
        return [
            LifeEvent(created, "automod_filtered"),
            LifeEvent(created + 30.0 + rng.expovariate(1 / 240.0), "restored"),
        ]
    at = created + rng.expovariate(1 / 7_200.0)
    return [LifeEvent(at, "moderator"), LifeEvent(at + 60.0 + rng.expovariate(1 / 1_800.0), "restored")]


def _pick(kinds: tuple[tuple[str, float], ...], rng: Random) -> str:
    return rng.choices([kind for kind, _ in kinds], [share for _, share in kinds])[0]
