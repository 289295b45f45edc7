"""Bursts of terms: a term is told in more new posts than its past explains.

The rate of a term has a gamma distribution: its shape is the number of past posts, its exposure the hours in which they
came, both decayed, plus a prior. So the number of posts in an hour has a negative binomial distribution, which is close
to Poisson's for a term that is well known, and wide for one that is new. Each mention is a test: are there more posts
in the hour before it than chance explains? docs/decisions/bursts.md says why the values below are what they are.

Time is the log's: the newest observation of the term. Posts are counted by their creation, so that an outage, after
which many posts arrive at once, looks like no burst.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal, NamedTuple

HOUR_US = 3_600_000_000

# The version of all that decides about a burst. Another value of a constant below is another rule.
RULE = 2
# Posts are counted in an hour that slides: a story that several subreddits tell takes 40 minutes.
WINDOW_US = HOUR_US
# What was created before this is the past. A post of that time which is found now changes nothing.
REACH_US = 2 * HOUR_US
# The weight of the past halves in three days.
HALF_LIFE_US = 72 * HOUR_US
# What is known of a term before anything is known: half a post in an hour.
PRIOR_POSTS = 0.5
PRIOR_HOURS = 1.0
# The rate itself varies, above all by the time of day: its variance is at least a fifth of its square.
VARIATION = 0.2
# So many false alarms a day are allowed, whatever the number of terms: they share in them by their mentions.
FALSE_ALARMS_A_DAY = 10
# What 115 subreddits have, with four terms and a cluster a post. With fewer, the level stays the same.
LEAST_MENTIONS_A_DAY = 100_000
# A burst has at least so many posts, and so many times the expected number.
LEAST_POSTS = 4
LEAST_RATIO = 3.0
# It ends when the hour has fewer posts than the larger of these: two, and so many times the expected number.
ENDING_POSTS = 2
ENDING_RATIO = 1.5
# What was told in a burst is told again. So the posts of its first hours weigh a quarter in the past; later ones weigh
# as any other, so that a term which becomes usual is learnt.
TOLD_WEIGHT = 0.25
TOLD_US = 6 * HOUR_US
# After its end no other burst of the term starts for so long.
REST_US = 2 * HOUR_US
# A burst names its first posts.
MOST_POSTS = 20
# Bounds the state of a term: while so many posts are within the reach, further ones do not count.
MOST_RECENT = 1_000
# A term is forgotten when nobody mentioned it for so long. Then a post of its past weighs a fifth.
LIFETIME_US = 168 * HOUR_US

_created, _post = attrgetter("created_us"), attrgetter("post")


def level_for(mentions_a_day: float) -> float:
    """The chance that a mention may have to start a burst where there is none, for so many mentions of all terms."""
    return FALSE_ALARMS_A_DAY / max(mentions_a_day, LEAST_MENTIONS_A_DAY)


LEVEL = level_for(LEAST_MENTIONS_A_DAY)


class Mention(NamedTuple):
    """A post whose title has the term. `subreddit` is in lower case; times are microseconds since 1970."""

    post: str
    subreddit: str
    created_us: int
    observed_us: int


class Counted(NamedTuple):
    """A post within the reach. Posts are ordered by creation."""

    created_us: int
    post: str
    subreddit: str


class Past(NamedTuple):
    """The posts of a term and the hours of the watch up to a moment, decayed, without the prior."""

    until_us: int
    posts: float
    hours: float


class Expectation(NamedTuple):
    """How the number of posts in a window is distributed: negative binomial, of this mean and shape."""

    mean: float
    shape: float


@dataclass(frozen=True, slots=True)
class Burst:
    """A burst of a term. What was expected, and the chance, follow from `observed`, `past_posts` and `past_hours`."""

    start_us: int
    """The creation of its first post."""
    noticed_us: int
    """The log time of the mention that made it significant."""
    observed: int
    """The posts in the window at that moment."""
    past_posts: float
    past_hours: float
    peak_us: int
    """The creation of the newest post when the window had the most posts, `peak`."""
    peak: int
    count: int
    """All its posts so far."""
    posts: tuple[str, ...]
    """The first of them, at most MOST_POSTS."""
    subreddits: tuple[str, ...]
    """Where these were posted, sorted."""
    end_us: int | None = None
    rule: int = RULE

    @property
    def expected(self) -> float:
        """How many posts were expected in the window."""
        return expectation(self.past_posts, self.past_hours).mean

    @property
    def chance(self) -> float:
        """How probable so many posts were without a burst."""
        return chance(self.observed, expectation(self.past_posts, self.past_hours))

    @property
    def strength(self) -> float:
        """The posts of the window at the peak, as a multiple of the expected number."""
        return self.peak / self.expected

    @property
    def inputs(self) -> dict[str, float | None]:
        """The numbers from which expectation, chance and strength follow, beside the chance itself."""
        return {
            "past_posts": self.past_posts,
            "past_hours": self.past_hours,
            "observed": float(self.observed),
            "chance": self.chance,
            "peak": float(self.peak),
            "count": float(self.count),
            "subreddits": float(len(self.subreddits)),
        }


@dataclass(frozen=True, slots=True)
class TermState:
    """What is known of one term."""

    now_us: int
    """The newest observation."""
    past: Past
    recent: tuple[Counted, ...]
    burst: Burst | None = None
    rest_until_us: int = 0
    burst_at_us: int = -TOLD_US
    """The start of its last burst."""


class Change(NamedTuple):
    """A burst started, has a higher peak, or ended. The term and `start_us` tell which burst it is."""

    kind: Literal["start", "peak", "end"]
    burst: Burst


class Step(NamedTuple):
    """The state after a mention (None: there is still nothing to know), and the changes, in order."""

    state: TermState | None
    changes: tuple[Change, ...] = ()


def step(state: TermState | None, mention: Mention, since_us: int, level: float = LEVEL) -> Step:
    """Count a mention. `since_us`: since when the posts of all subreddits are watched; a new term was in none of them.

    A post that is counted already, and one that was created before the reach or before the watch, move the log time on
    and change nothing else.
    """
    new = Counted(mention.created_us, mention.post, mention.subreddit)
    if state is None:
        if new.created_us < max(since_us, mention.observed_us - REACH_US):
            return Step(None)
        state = TermState(mention.observed_us, Past(since_us, 0.0, 0.0), ())
    state, changes = moved(state, mention.observed_us)
    if new.created_us < state.past.until_us or len(state.recent) >= MOST_RECENT or new.post in map(_post, state.recent):
        return Step(state, changes)
    place = bisect_left(state.recent, new)
    recent = (*state.recent[:place], new, *state.recent[place:])
    state = replace(state, recent=recent)
    before = state.burst
    burst = _started(state, new, level) if before is None else _continued(recent, before, new)
    if burst is not None and burst is not before:
        state = replace(state, burst=burst, burst_at_us=burst.start_us)
    if burst is None or (before is not None and burst.peak == before.peak):
        return Step(state, changes)
    return Step(state, (*changes, Change("peak" if before else "start", burst)))


def ends_us(state: TermState) -> int | None:
    """When its burst ends, or has ended, if no other post comes; None without a burst."""
    if state.burst is None:
        return None
    # With this many posts or more it goes on, so it ends when the one at this place from the end leaves the window.
    least = math.ceil(max(ENDING_POSTS, ENDING_RATIO * _expected(state).mean))
    leaves_us = state.recent[-least].created_us + WINDOW_US if least <= len(state.recent) else 0
    return max(leaves_us, state.burst.peak_us)


def closed_by(state: TermState, now_us: int) -> Burst | None:
    """The burst with its end, if it has ended by this log time. A mention at that time says the same."""
    end_us = ends_us(state)
    return None if state.burst is None or end_us is None or end_us > now_us else replace(state.burst, end_us=end_us)


def expired(state: TermState, now_us: int) -> bool:
    """Whether a term may be forgotten at this log time. Then its burst, if there was one, has ended."""
    return now_us - state.now_us > LIFETIME_US


def expectation(past_posts: float, past_hours: float) -> Expectation:
    """What the past, given without the prior, lets expect in a window."""
    posts = past_posts + PRIOR_POSTS
    return Expectation(posts / (past_hours + PRIOR_HOURS) * (WINDOW_US / HOUR_US), min(posts, 1 / VARIATION))


def chance(posts: int, expected: Expectation) -> float:
    """The chance that a window which ends with a post has at least so many posts, this one included.

    Given that there is a post, the others of a Poisson process are distributed as without it (Slivnyak's theorem). So
    this is P(N >= posts - 1) of the expected N.
    """
    return tail(posts - 1, expected)


def tail(least: int, expected: Expectation) -> float:
    """P(N >= least) of the negative binomial distribution, as a sum of its terms: precise also where it is tiny."""
    if least <= 0:
        return 1.0
    mean, shape = expected
    share = mean / (mean + shape)
    term = math.exp(
        math.lgamma(least + shape)
        - math.lgamma(shape)
        - math.lgamma(least + 1)
        + shape * math.log1p(-share)
        + least * math.log(share)
    )
    total = 0.0
    while term > total * 1e-15:
        total += term
        term *= share * (least + shape) / (least + 1)
        least += 1
    return total


def moved(state: TermState, observed_us: int) -> tuple[TermState, tuple[Change, ...]]:
    """The state at a later log time: a burst may have ended, and what is before the reach belongs to the past."""
    now_us = max(state.now_us, observed_us)
    burst, rest_until_us = state.burst, state.rest_until_us
    changes: tuple[Change, ...] = ()
    ended = closed_by(state, now_us)
    if ended is not None and ended.end_us is not None:
        changes = (Change("end", ended),)
        burst, rest_until_us = None, ended.end_us + REST_US
    past, recent = state.past, state.recent
    until_us = now_us - REACH_US
    if until_us > past.until_us:
        kept = bisect_left(recent, until_us, key=_created)
        past, recent = _decayed(past, recent[:kept], until_us, state.burst_at_us), recent[kept:]
    return TermState(now_us, past, recent, burst, rest_until_us, state.burst_at_us), changes


def _decayed(past: Past, posts: Iterable[Counted], until_us: int, burst_at_us: int) -> Past:
    """The past until a later moment, with the posts of the time between. `burst_at_us`: the start of the last burst."""
    fade = _weight(until_us - past.until_us)
    # The integral of the weight over the time between.
    hours = (1 - fade) * HALF_LIFE_US / math.log(2) / HOUR_US
    new = sum(
        _weight(until_us - counted.created_us)
        * (TOLD_WEIGHT if 0 <= counted.created_us - burst_at_us < TOLD_US else 1.0)
        for counted in posts
    )
    return Past(until_us, past.posts * fade + new, past.hours * fade + hours)


def _weight(age_us: int) -> float:
    return math.exp2(-age_us / HALF_LIFE_US)


def _expected(state: TermState) -> Expectation:
    return expectation(state.past.posts, state.past.hours)


def _window_begins(recent: Sequence[Counted]) -> int:
    """The place of the first post of the hour that ends with the newest one."""
    return bisect_right(recent, recent[-1].created_us - WINDOW_US, key=_created)


def _started(state: TermState, new: Counted, level: float) -> Burst | None:
    recent, first = state.recent, _window_begins(state.recent)
    count = len(recent) - first
    if count < LEAST_POSTS or state.now_us < state.rest_until_us or new.created_us < recent[first].created_us:
        return None
    expected = _expected(state)
    if count < LEAST_RATIO * expected.mean or chance(count, expected) > level:
        return None
    named = recent[first : first + MOST_POSTS]
    return Burst(
        start_us=named[0].created_us,
        noticed_us=state.now_us,
        observed=count,
        past_posts=state.past.posts,
        past_hours=state.past.hours,
        peak_us=recent[-1].created_us,
        peak=count,
        count=count,
        posts=tuple(counted.post for counted in named),
        subreddits=tuple(sorted({counted.subreddit for counted in named})),
    )


def _continued(recent: Sequence[Counted], burst: Burst, new: Counted) -> Burst:
    if new.created_us < burst.start_us:
        return burst
    if len(burst.posts) < MOST_POSTS:
        subreddits = tuple(sorted({*burst.subreddits, new.subreddit}))
        burst = replace(burst, posts=(*burst.posts, new.post), subreddits=subreddits)
    window = len(recent) - _window_begins(recent)
    if window > burst.peak:
        burst = replace(burst, peak=window, peak_us=recent[-1].created_us)
    return replace(burst, count=burst.count + 1)
