"""A listing under a test's control, and a poller without I/O. The tests of the planner run on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from signalflow.domain.fetch import Fetch, PopularSubredditsRequest, PostsRequest
from signalflow.domain.fetches import ListingFetch
from signalflow.domain.known import Seen, StoredPost
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit

START = 1_000_000.0


def fast(*names: str, interval: float = 60) -> list[Subreddit]:
    return [Subreddit(name, interval, "fast") for name in names]


def known(id_: str, created: float, subreddit: str = "a", *, score: int = 1) -> StoredPost:
    return StoredPost(id_, subreddit, created, created, score, 0, True)


@dataclass
class World:
    """Posts newest first, as listings show them. Reddit refuses every listing with one of the `refused` subreddits.

    The next `empty_answers` listings have no posts at all, as Reddit sometimes answers by mistake.
    """

    page_size: int = 100
    now: float = START
    posts: list[Seen] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    # Subreddits and posts: no request that names one of them has a usable answer.
    broken: set[str] = field(default_factory=set)
    # Left out of combined listings without a word, as Reddit does with private and banned subreddits.
    hidden: set[str] = field(default_factory=set)
    # Subreddits and posts: every request that names one of them is answered without any post.
    emptied: set[str] = field(default_factory=set)
    empty_answers: int = 0
    # Each page below the top is said to be followed by itself.
    loops: bool = False
    made: int = 0

    def add(self, count: int, subreddit: str = "a", age: float = 0.0) -> list[str]:
        """New posts at the top."""
        ids = []
        for _ in range(count):
            self.made += 1
            ids.append(f"p{self.made}")
            self.posts.insert(0, Seen(ids[-1], subreddit, self.now - age, 1, 0, None, 1))
        return ids

    def change(self, id_: str, **values: object) -> None:
        """Change what a post shows."""
        index = next(index for index, post in enumerate(self.posts) if post.id == id_)
        self.posts[index] = self.posts[index]._replace(**values)  # type: ignore[arg-type]

    def answer(self, fetch: Fetch) -> tuple[list[Seen], str | None]:
        request = fetch.request
        if self.emptied.intersection(named(fetch)):
            return [], None
        if isinstance(request, PostsRequest):
            asked = set(request.ids)
            return [post for post in self.posts if post.id in asked], None
        if isinstance(request, PopularSubredditsRequest):
            # It has no posts.
            return [], None
        if self.empty_answers > 0:
            self.empty_answers -= 1
            return [], None
        shown = set(request.names) - (self.hidden if len(request.names) > 1 else set())
        listed = [post for post in self.posts if post.subreddit in shown]
        if request.after:
            position = next((i for i, post in enumerate(listed) if f"t3_{post.id}" == request.after), None)
            listed = [] if position is None else listed[position + 1 :]
        page = listed[: self.page_size]
        if self.loops and request.after:
            return page, request.after
        return page, f"t3_{page[-1].id}" if len(listed) > self.page_size else None


def named(fetch: Fetch) -> tuple[str, ...]:
    """The posts or subreddits that a fetch names."""
    request = fetch.request
    return request.ids if isinstance(request, PostsRequest) else fetch.names


@dataclass
class Harness:
    """Runs the planner against a world. `published` has (id, is_new, with_body) of every confirmed envelope."""

    world: World
    planner: Planner
    published: list[tuple[str, bool, bool]] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    # Changes of first looks back that the ledger was told: kind, subreddit and outcome.
    first_looks: list[tuple[str | None, ...]] = field(default_factory=list)
    # Subreddits that are the reason why their listings had no answer.
    blamed: set[str] = field(default_factory=set)
    is_ledger_away: bool = False
    # For every answer to a listing, whether a successor may begin from it.
    may_begin: list[bool] = field(default_factory=list)

    def write_ledger(self) -> None:
        while not self.is_ledger_away and (change := self.planner.gaps.change):
            self.gaps.append(f"{change.kind} {change.outcome}" if change.outcome else change.kind)
            self.planner.gaps.recorded(len(self.gaps))
        looks = self.planner.first_looks.gaps
        while not self.is_ledger_away and (change := looks.change):
            self.first_looks.append((change.kind, *change.gap.subreddits, change.outcome))
            looks.recorded(len(self.first_looks))

    def round(
        self, sent: Callable[[str], bool] = lambda id_: True, works: Callable[[Fetch], bool] = lambda fetch: True
    ) -> Fetch | None:
        """One fetch, if one is due."""
        fetch = self.planner.next(self.world.now, 1.0)
        if fetch is None:
            return None
        self.fetches.append(fetch)
        if not works(fetch):
            fetch.failed(self.world.now)
        elif self.world.broken.intersection(named(fetch)):
            if fetch.unanswered(self.world.now):
                self.blamed |= set(fetch.names)
        elif self.world.refused & set(fetch.names) or fetch.names in {(name,) for name in self.world.hidden}:
            fetch.refused(self.world.now)
        else:
            self._take(fetch, sent)
        self.write_ledger()
        return fetch

    def _take(self, fetch: Fetch, sent: Callable[[str], bool]) -> None:
        items, after = self.world.answer(fetch)
        if self.planner.counts_as_none(fetch, shows_posts=bool(items)):
            if fetch.showed_nothing(self.world.now):
                self.blamed |= set(fetch.names)
            if isinstance(fetch, ListingFetch):
                self.may_begin.append(False)
            return
        findings = self.planner.judge(fetch, items, after, self.world.now)
        self.write_ledger()
        confirmed = [sent(items[decision.item].id) for decision in findings.decisions]
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            if is_sent:
                self.published.append((items[decision.item].id, decision.is_new, decision.with_body))
        may_begin = self.planner.confirm(findings, confirmed, self.world.now)
        if isinstance(fetch, ListingFetch):
            self.may_begin.append(may_begin)

    def run(self, seconds: float, sent: Callable[[str], bool] = lambda id_: True) -> None:
        """Poll for so many seconds, one round per second."""
        end = self.world.now + seconds
        while self.world.now < end:
            self.round(sent)
            self.world.now += 1.0

    def new_ids(self) -> list[str]:
        return [id_ for id_, is_new, _ in self.published if is_new]


def harness(
    subreddits: Sequence[Subreddit] = (),
    page_size: int = 100,
    refresh_ids_per_minute: float = 0.0,
    first_look_seconds: float = 0.0,
) -> Harness:
    """A planner that has just started on an empty world."""
    planner = Planner(
        listing_per_minute=20, refresh_ids_per_minute=refresh_ids_per_minute, first_look_seconds=first_look_seconds
    )
    world = World(page_size=page_size)
    planner.start(subreddits or fast("a"), (), (), world.now)
    return Harness(world, planner)
