"""What snapshots tell of each post: how it was seen first, what became of it, and when that was settled."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from signalflow.domain.signals.viral import OLDEST, YOUNGEST, ObservedPost
from signalflow.domain.trending import TrendingRule, trending
from signalflow.evaluation.snapshots import Snapshot

# Seconds. No post of the real file that was first seen at less than three hours stayed in r/all's first 100 for longer
# than 14 hours after that.
OUTCOME_WINDOW = 15 * 3600
FIRST_PLACES = 10
HIGH_PEAK = 20_000


@dataclass(frozen=True, slots=True)
class Post:
    """A post and its outcome within the outcome window after its first snapshot.

    `place` is the best rank, 1 at the top. `reached` has, for each target that the post reached, when that was seen.
    `last` is its last snapshot, `old_rule_at` the snapshot at which the inherited rule calls it trending, if ever.
    """

    key: tuple[str, int]
    first: ObservedPost
    first_place: int
    place: int
    peak: int
    reached: Mapping[str, int]
    last: int
    old_rule_at: int | None
    old_rule_score: float

    @property
    def seen(self) -> int:
        """When it was seen first."""
        return int(self.first.observed)

    def settled(self, now: int) -> bool:
        """Whether its outcome was known at the snapshot of `now`: it had left the listing, or its window had passed."""
        return self.last < now or self.whole(now)

    def whole(self, now: int) -> bool:
        """Whether its outcome window had passed."""
        return self.seen + OUTCOME_WINDOW <= now

    @property
    def is_young(self) -> bool:
        """Whether its first snapshot is at an age at which a model is asked."""
        return YOUNGEST <= self.first.age <= OLDEST


@dataclass(frozen=True, slots=True)
class Target:
    """What a post may reach. `says` completes "a post ..."; `limit` is the value from which on it counts as reached.

    `level` is what is compared: larger is better.
    """

    name: str
    says: str
    limit: float
    level: Callable[[int, int], float]

    def level_of(self, post: Post) -> float:
        """How far the post came, on the scale of `limit`."""
        return self.level(post.place, post.peak)


TARGETS = (
    Target("top_10", "reaches the first ten", 1 / FIRST_PLACES, lambda place, peak: 1 / place),
    Target("peak_20000", "peaks at 20,000 points or more", HIGH_PEAK, lambda place, peak: max(peak, 1)),
)


def posts_of(snapshots: Iterable[Snapshot], rule: TrendingRule | None = None) -> list[Post]:
    """The posts of a file, in the order of their first snapshots."""
    found: dict[tuple[str, int], list[Snapshot]] = {}
    for snapshot in snapshots:
        found.setdefault((snapshot.post, snapshot.created), []).append(snapshot)
    rule = rule or TrendingRule()
    posts = [_post(key, sorted(seen, key=lambda one: one.observed), rule) for key, seen in found.items()]
    return sorted(posts, key=lambda post: (post.seen, post.key))


def _post(key: tuple[str, int], seen: Sequence[Snapshot], rule: TrendingRule) -> Post:
    first = seen[0]
    within = [one for one in seen if one.observed <= first.observed + OUTCOME_WINDOW]
    reached: dict[str, int] = {}
    for target in TARGETS:
        times = [one.observed for one in within if target.level(one.place, one.score) >= target.limit]
        if times:
            reached[target.name] = times[0]
    return Post(
        key,
        ObservedPost(first.subreddit, first.created, first.observed, first.score, first.comments, first.ratio),
        first.place,
        min(one.place for one in within),
        max(one.score for one in within),
        reached,
        seen[-1].observed,
        _old_rule_at(within, rule),
        trending(rule, velocity=None, sentiment=None, comments=first.comments).score,
    )


def _old_rule_at(seen: Sequence[Snapshot], rule: TrendingRule) -> int | None:
    """When the inherited rule fires. A first observation has no velocity; the file has no titles, so no sentiment."""
    before: Snapshot | None = None
    for one in seen:
        velocity = None
        if before is not None and one.observed > before.observed:
            velocity = (one.score - before.score) / (one.observed - before.observed)
        if trending(rule, velocity=velocity, sentiment=None, comments=one.comments).is_trending:
            return one.observed
        before = one
    return None
