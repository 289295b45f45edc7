"""Two days of 115 subreddits in plain Python, and a poller that asks the planner: the oracle of test_simulated_day.

The model is that of reddit.com as far as it is published:

- 26 fast, 45 medium and 44 slow subreddits, with 9.5, 5.7 and 1.9 posts a minute together, by day and night
  (1 + 0.6 sin), and with bursts (8 times the rate for 20 minutes, in 3 of 10 subreddits a day)
- scores that rise as 1 - exp(-t / tau) to a lognormal height, some of them after a delay
- 19.5 % of posts are gone within 36 hours, and some of them come back
"""

import math
import random
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from signalflow.domain.budget import Budget, RateLimit
from signalflow.domain.fetch import Fetch, ListingRequest, PostsRequest
from signalflow.domain.fetches import RefreshFetch
from signalflow.domain.known import Seen, StoredPost
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Priority, Subreddit

DAY = 86400.0
PRIORITIES: dict[Priority, tuple[int, float, float]] = {
    "fast": (26, 9.5, 60),
    "medium": (45, 5.7, 180),
    "slow": (44, 1.9, 600),
}
BAR = 200


@dataclass(slots=True)
class ModelPost:
    id: str
    subreddit: str
    created: float
    height: float
    tau: float
    delay: float
    gone: float = math.inf
    back: float = math.inf
    found_at: float = math.inf
    bar_seen_at: float = math.inf
    bar_seen_in_listing_at: float = math.inf

    def score(self, at: float) -> int:
        elapsed = at - self.created - self.delay
        return 1 if elapsed <= 0 else 1 + int(self.height * (1.0 - math.exp(-elapsed / self.tau)))

    def is_listed(self, at: float) -> bool:
        return at < self.gone or at >= self.back

    def passed_bar_at(self) -> float:
        share = BAR / self.height
        return self.created + self.delay - self.tau * math.log(1.0 - share) if share < 1 else math.inf


@dataclass
class Model:
    """All posts of [0, 2 days), by subreddit priority and id."""

    subreddits: list[Subreddit]
    posts: list[ModelPost]
    by_priority: dict[Priority, list[ModelPost]] = field(default_factory=dict)
    by_id: dict[str, ModelPost] = field(default_factory=dict)
    created: dict[Priority, list[float]] = field(default_factory=dict)
    priority_of: dict[str, Priority] = field(default_factory=dict)
    by_subreddit: defaultdict[str, list[ModelPost]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.priority_of = {subreddit.name: subreddit.priority for subreddit in self.subreddits}
        for priority in PRIORITIES:
            self.by_priority[priority] = [post for post in self.posts if self.priority_of[post.subreddit] == priority]
            self.created[priority] = [post.created for post in self.by_priority[priority]]
        self.by_id = {post.id: post for post in self.posts}
        for post in self.posts:
            self.by_subreddit[post.subreddit].append(post)

    def listing(self, names: tuple[str, ...], after: str | None, at: float) -> tuple[list[ModelPost], str | None]:
        """A page of up to 100 posts, newest first; all names must be of one priority."""
        priority, members = self.priority_of[names[0]], set(names)
        last = self.by_id[after.removeprefix("t3_")] if after else None
        index = (
            bisect_right(self.created[priority], at)
            if last is None
            else bisect_left(self.created[priority], last.created)
        )
        page: list[ModelPost] = []
        posts = self.by_priority[priority]
        while index > 0 and len(page) < 100:
            index -= 1
            post = posts[index]
            if post.subreddit in members and post.is_listed(at):
                page.append(post)
        return page, f"t3_{page[-1].id}" if len(page) == 100 else None

    def hot(self, names: tuple[str, ...], at: float) -> list[ModelPost]:
        """The top of a listing by rank, by the formula that Reddit published."""
        shown = [
            post for name in names for post in self.by_subreddit[name] if post.created <= at and post.is_listed(at)
        ]
        return sorted(shown, key=lambda post: -(math.log10(post.score(at)) + post.created / 45_000))[:100]


def arrivals(rng: random.Random, per_second: float, bursts: list[float]) -> Iterator[float]:
    """Poisson arrivals over two days by thinning."""
    highest = per_second * 1.6 * 8.0 if bursts else per_second * 1.6
    at = 0.0
    while (at := at + rng.expovariate(highest)) < 2 * DAY:
        factor = 1.0 + 0.6 * math.sin(2 * math.pi * (at / DAY - 0.3))
        if any(start <= at < start + 1200 for start in bursts):
            factor *= 8.0
        if rng.random() < per_second * factor / highest:
            yield at


def make_model(seed: int) -> Model:
    rng = random.Random(seed)
    subreddits: list[Subreddit] = []
    rough: list[tuple[float, str]] = []
    for priority, (count, per_minute, interval) in PRIORITIES.items():
        weights = [rng.lognormvariate(0.0, 0.7) for _ in range(count)]
        for number, weight in enumerate(weights):
            name = f"{priority}{number}"
            subreddits.append(Subreddit(name, interval, priority, polled_at=DAY))
            bursts = [day * DAY + rng.uniform(0, DAY) for day in range(2) if rng.random() < 0.3]
            rough += [(at, name) for at in arrivals(rng, per_minute / 60 * weight / sum(weights), bursts)]
    posts = []
    for number, (at, name) in enumerate(sorted(rough)):
        post = ModelPost(
            id=f"p{number}",
            subreddit=name,
            created=at,
            height=rng.lognormvariate(1.6, 1.9),
            tau=rng.lognormvariate(math.log(9000), 0.6),
            delay=rng.expovariate(1 / 3600) if rng.random() < 0.15 else 0.0,
        )
        if rng.random() < 0.195:
            post.gone = at + rng.uniform(120, 36 * 3600)
            if rng.random() < 0.09:
                post.back = post.gone + rng.expovariate(1 / 3600)
        posts.append(post)
    return Model(subreddits, posts)


@dataclass
class Report:
    """What a day of polling cost and found. Delays in seconds."""

    requests: Counter[str]
    refreshed_ids: int
    published: int
    discovery: list[float]
    missed: int
    gaps: int
    notice: list[float]
    closest_starts: float


def run_day(
    model: Model,
    *,
    listing_per_minute: float,
    refresh_ids_per_minute: float,
    per_minute: float = 60,
    post_sorts: tuple[str, ...] = ("new",),
    seconds: float = DAY,
) -> Report:
    """Poll the second day, or its first `seconds`, with the planner. The database knows the posts of the first day."""
    end = DAY + seconds
    rng = random.Random(1)
    planner = Planner(listing_per_minute=listing_per_minute, refresh_ids_per_minute=refresh_ids_per_minute)
    budget = Budget(per_minute)
    now = DAY
    watched = [replace(subreddit, post_sorts=post_sorts) for subreddit in model.subreddits]
    planner.start(watched, (known_posts(post, rng) for post in model.posts if post.created < DAY), (), now)
    for post in model.posts:
        if post.created < DAY:
            post.found_at = -1.0
        if post.passed_bar_at() < DAY:
            post.bar_seen_at = post.bar_seen_in_listing_at = -1.0
    requests: Counter[str] = Counter()
    refreshed = published = gaps = 0
    last_start, closest = -math.inf, math.inf
    while now < end:
        wait = budget.wait(now)
        fetch = planner.next(now, budget.spacing(now)) if wait == 0 else None
        if fetch is None:
            now += wait or min(planner.wake(now), 1.0)
            continue
        budget.start(now)
        closest, last_start = min(closest, now - last_start), now
        requests[fetch.kind] += 1
        if isinstance(fetch, RefreshFetch):
            refreshed += len(fetch.ids)
        now += rng.uniform(0.08, 0.2)
        budget.succeeded(now, RateLimit(used=3, remaining=990, reset=400))
        items, after = answer(model, fetch, now)
        findings = planner.judge(fetch, items, after, now)
        while planner.gaps.change:
            gaps += planner.gaps.change.kind == "open"
            planner.gaps.recorded(1)
        published += len(findings.decisions)
        planner.confirm(findings, [True] * len(findings.decisions), now)
    day = [post for post in model.posts if DAY <= post.created < end - 60]
    crossed = [post for post in model.posts if DAY <= post.passed_bar_at() < end - 6 * 3600]
    return Report(
        requests=requests,
        refreshed_ids=refreshed,
        published=published,
        discovery=sorted(post.found_at - post.created for post in day if post.found_at < math.inf),
        missed=sum(post.found_at == math.inf for post in day),
        gaps=gaps,
        notice=sorted(post.bar_seen_at - post.passed_bar_at() for post in crossed),
        closest_starts=closest,
    )


def known_posts(post: ModelPost, rng: random.Random) -> StoredPost:
    """A post of the first day as the database has it, last seen within the half hour before the second day."""
    at = max(post.created, DAY - rng.uniform(0, 1800))
    rising = post.score(at + 60) - post.score(at - 60)
    return StoredPost(post.id, post.subreddit, post.created, at, post.score(at), 0, rising == 0, rising / 120)


def answer(model: Model, fetch: Fetch, at: float) -> tuple[list[Seen], str | None]:
    """The answer to a fetch. The model keeps what it revealed."""
    after = None
    request = fetch.request
    if isinstance(request, PostsRequest):
        shown = [model.by_id[id_] for id_ in request.ids]
    elif isinstance(request, ListingRequest) and request.sort != "new":
        shown = model.hot(request.names, at)
    else:
        shown, after = model.listing(request.names, request.after, at)
    items = []
    for post in shown:
        score = post.score(at)
        if post.found_at == math.inf:
            post.found_at = at
        if score > BAR and post.bar_seen_at == math.inf:
            post.bar_seen_at = at
            if isinstance(request, ListingRequest):
                post.bar_seen_in_listing_at = at
        items.append(Seen(post.id, post.subreddit, post.created, score, score >> 2, post.gone <= at < post.back))
    return items, after


def fixed_cadence(model: Model) -> tuple[int, list[float]]:
    """Refreshed ids of the second day, and seconds until a score above 200 was noticed, with refreshes at fixed ages.

    The ages are 5 min, then every 30 min until an hour, then every 120 min until a day. Scores that the listings of the
    same day showed count too.
    """
    marks = [300.0, 2100.0, 3900.0]
    while marks[-1] < DAY - 7200:
        marks.append(marks[-1] + 7200)
    ids, notice = 0, []
    for post in model.posts:
        refreshes = [post.created + mark for mark in marks]
        ids += sum(DAY <= at < 2 * DAY for at in refreshes)
        crossed = post.passed_bar_at()
        if DAY <= crossed < 2 * DAY - 6 * 3600:
            by_refresh = next((at for at in refreshes if post.score(at) > BAR), math.inf)
            notice.append(min(by_refresh, post.bar_seen_in_listing_at) - crossed)
    return ids, sorted(notice)
