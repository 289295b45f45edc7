"""Signals of the simulator's subreddits, and what was true: a run in virtual time, one subreddit after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, log

from signalflow.domain.signals.curve import FINAL
from signalflow.domain.signals.forecast import forecast
from signalflow.domain.signals.subreddit import Change, Seen, SubredditState, follow, volume_measure
from signalflow.evaluation.simulated import LOOK_BACK, observations
from signalflow.simulator.arrivals import BURST_SECONDS
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.posts import Post
from signalflow.simulator.subreddits import Subreddit
from signalflow.simulator.world import World

# A Monday, 2026-01-05.
EPOCH = 1_767_571_200.0
QUARTER = 900.0
DAY_QUARTERS = 96
# A probability is compared with the outcome at the first observation from this age on.
SAID_AT = 1_800.0
TOP_SHARE = 0.01
TARGET_DAYS = 30


@dataclass(slots=True)
class JudgedPost:
    """A post of the evaluated days: what it is, what became of it, and what was said. Times are epoch seconds.

    `told`: for each kind of signal when it began. `said`: probability, forecast's median and 80 % interval at the age
    SAID_AT, which was `said_at`; None if there was no observation then. `reached`: when its score reached `target`,
    which the best hundredth of the subreddit's posts have after a day; inf if it never did.
    """

    id: str
    created: float
    story: str | None
    final: int
    target: int
    reached: float
    told: dict[str, float] = field(default_factory=dict)
    said: tuple[float, float, float, float] | None = None
    said_at: float = inf

    @property
    def is_top(self) -> bool:
        """Whether it is among the best hundredth after a day."""
        return self.final >= self.target


@dataclass(frozen=True, slots=True)
class Burst:
    """A time with more posts than usual; `kind`: arrivals or story. `posts`: how many were made in it."""

    kind: str
    priority: str
    start: float
    end: float
    posts: int


@dataclass(slots=True)
class JudgedSubreddit:
    """`alarms`: when signals about its number of posts began. `strengths`: the highest of each quarter of an hour."""

    name: str
    priority: str
    posts: list[JudgedPost]
    bursts: list[Burst]
    alarms: list[float]
    strengths: dict[int, float]
    changes: int
    observations: int


def run(
    days: int,
    warm_up: int,
    seed: int,
    subreddits: Sequence[Subreddit] | None = None,
    stories_per_hour: float = 2.5,
    *,
    is_cold: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> list[JudgedSubreddit]:
    """Follow `warm_up + days` days of each subreddit and judge the last `days`.

    The best hundredth is that of all posts of the subreddit in the TARGET_DAYS days before the end. `is_cold`: nothing
    is observed before the judged days, at whose beginning each subreddit is read back by a day.
    """
    start = EPOCH + warm_up * DAY
    end = start + days * DAY
    since = start - LOOK_BACK if is_cold else EPOCH
    first = min(since, end - TARGET_DAYS * DAY)
    parameters = Parameters(seed=seed, epoch=first, history=0.0, stories_per_hour=stories_per_hour)
    world = World(parameters, subreddits)
    followed: dict[str, list[Post]] = {key: [] for key, sub in world.subreddits.items() if sub.rate}
    finals: dict[str, list[int]] = {key: [] for key in followed}
    for day in range(int((end - first) // DAY)):
        for post in world.new_posts_between(first + day * DAY, first + (day + 1) * DAY):
            # A post that is never shown is nothing that a listing could tell of.
            if not post.visible_spans():
                continue
            finals[post.subreddit.key].append(post.score_at(post.created + FINAL))
            if post.created >= since:
                followed[post.subreddit.key].append(post)
    bursts = _bursts(world, start, end)
    judged = []
    for key, posts in followed.items():
        target = sorted(finals[key])[int((1.0 - TOP_SHARE) * len(finals[key]))]
        seen = observations(posts, end, 1.0, start if is_cold else 0.0)
        judged.append(_judged(world.subreddits[key], posts, seen, target, bursts.get(key, []), start, end))
        progress()
    return judged


def _bursts(world: World, start: float, end: float) -> dict[str, list[tuple[str, float, float]]]:
    found: dict[str, list[tuple[str, float, float]]] = {}
    for sub, at in world.bursts_between(start, end):
        found.setdefault(sub.key, []).append(("arrivals", at, at + BURST_SECONDS))
    for story in world.stories_between(start, end):
        if story.kind == "burst" and story.start >= start:
            times = [post.created for post in story.posts]
            found.setdefault(story.posts[0].subreddit.key, []).append(("story", times[0], times[-1]))
    return found


def _judged(
    sub: Subreddit,
    listed: Sequence[Post],
    observed: Sequence[Seen],
    target: int,
    bursts: Sequence[tuple[str, float, float]],
    start: float,
    end: float,
) -> JudgedSubreddit:
    judged = {
        post.id: JudgedPost(
            post.id,
            post.created,
            None if post.story is None else kind_of(post.rise),
            post.score_at(post.created + FINAL),
            target,
            reached(post, target),
        )
        for post in listed
        if start <= post.created < end - FINAL / 2
    }
    result = JudgedSubreddit(
        sub.name,
        sub.priority,
        list(judged.values()),
        [
            Burst(kind, sub.priority, at, until, sum(at <= post.created < until for post in listed))
            for kind, at, until in bursts
        ],
        [],
        {},
        0,
        0,
    )
    for seen, before, state, changes in _followed(sub.key, observed):
        result.observations += 1
        at = seen.observed_us / 1e6
        post = judged.get(seen.post_id)
        if post is not None and post.said is None and at - post.created >= SAID_AT and seen.score is not None:
            found = forecast(before.curve, seen.score, seen.score_velocity, at - seen.created_us / 1e6)
            post.said_at = at
            post.said = (found.probability, found.median, found.low, found.high)
        if at < start:
            continue
        result.changes += len(changes)
        for change in changes:
            if change.subject_kind == "subreddit" and change.changed_us == change.started_us:
                result.alarms.append(at)
            elif change.subject in judged:
                judged[change.subject].told.setdefault(change.kind, change.started_us / 1e6)
        if seen.is_discovery:
            quarter = int(at // QUARTER)
            strength = volume_measure(state).strength
            result.strengths[quarter] = max(result.strengths.get(quarter, 0.0), strength)
    return result


def _followed(
    subreddit: str, seen: Sequence[Seen]
) -> Iterator[tuple[Seen, SubredditState, SubredditState, tuple[Change, ...]]]:
    state: SubredditState | None = None
    for one in seen:
        before = state
        state, changes = follow(state, subreddit, one)
        yield one, before or state, state, changes


def kind_of(rise: float) -> str:
    """The kind of story that a planted post belongs to, by the middles between their sizes."""
    return "viral" if rise > 17_000 else "everywhere" if rise > 1_300 else "burst"


def reached(post: Post, target: int) -> float:
    """When a post's true score reaches a target; inf if it never does."""
    missing = target - 1
    if missing <= 0:
        return post.created
    if post.rise <= missing:
        return inf
    return post.start - post.tau * log(1.0 - missing / post.rise)
