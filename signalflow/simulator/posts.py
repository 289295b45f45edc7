"""One simulated post. It is drawn once; its state is then a pure function of time. Times are epoch seconds."""

from dataclasses import dataclass, field
from math import exp, log
from typing import Literal, NamedTuple

from signalflow.simulator.subreddits import Subreddit, base36

Kind = Literal["self", "link", "image", "gallery"]
LifeKind = Literal[
    "deleted", "moderator", "reddit", "automod_filtered", "restored", "edited", "edited_title", "flagged_at_birth"
]
GONE: frozenset[str] = frozenset({"deleted", "moderator", "reddit", "automod_filtered"})
# Reddit's pages hide the score of young posts; the API's number is valid all the same.
HIDE_SCORE_SECONDS = 3_600.0
# Below this score Reddit shows the exact number.
FUZZ_FROM = 10
_MASK = 2**64 - 1


class LifeEvent(NamedTuple):
    """What happened to a post, and when."""

    at: float
    kind: str


@dataclass(slots=True, eq=False)
class Post:
    """After `start`, `rise` points arrive with a time constant of `tau` seconds; `talk` comments arrive in the end.

    Each of them has the text `says`, or one of its own.
    """

    number: int
    subreddit: Subreddit
    created: float
    rise: float
    tau: float
    start: float
    talk: float
    ratio: float
    kind: Kind
    over_18: bool
    text_seed: int
    life: tuple[LifeEvent, ...] = ()
    story: str | None = None
    title: str | None = None
    says: str | None = None
    deleted_comments: dict[int, float] = field(default_factory=dict)
    """When which of its comments were deleted by hand, by their places."""
    id: str = field(init=False)
    """In base 36, without t3_; strictly increasing in the order of creation."""

    def __post_init__(self) -> None:
        self.id = base36(self.number)

    def score_at(self, t: float) -> int:
        """The true score: 1 + rise * (1 - exp(-(t - start) / tau)), in whole points."""
        age = t - self.start
        return 1 + int(self.rise * (1.0 - exp(-age / self.tau))) if age > 0 else 1

    def comments_at(self, t: float) -> int:
        """The number of comments, which follows the curve of the score."""
        age = t - self.start
        return int(self.talk * (1.0 - exp(-age / self.tau))) if age > 0 else 0

    def comment_time(self, k: int) -> float | None:
        """When comment number k (from 1) was written: the inverse of `comments_at`; None if it never is."""
        return self.start - self.tau * log(1.0 - k / self.talk) if 1 <= k < self.talk else None

    def removed_by(self, t: float) -> str | None:
        """removed_by_category at t; None while the post is visible."""
        gone: str | None = None
        for event in self.life:
            if event.at > t:
                break
            if event.kind in GONE:
                gone = event.kind
            elif event.kind == "restored":
                gone = None
        return gone

    def visible_at(self, t: float) -> bool:
        """Whether listings show it at t."""
        return self.created <= t and (not self.life or self.removed_by(t) is None)

    def visible_spans(self) -> list[tuple[float, float | None]]:
        """When listings show it, as (from, to), by all life events it has now; a `to` of None means for good."""
        spans: list[tuple[float, float | None]] = []
        since: float | None = self.created
        for event in self.life:
            if event.kind in GONE and since is not None:
                if event.at > since:
                    spans.append((since, event.at))
                since = None
            elif event.kind == "restored" and since is None:
                since = event.at
        return spans if since is None else [*spans, (since, None)]


@dataclass(frozen=True, slots=True)
class State:
    """What the API says about a post at one time."""

    score: int
    num_comments: int
    upvote_ratio: float
    hide_score: bool
    removed_by: str | None
    edited_at: float | None
    title_edited: bool


def state_of(post: Post, t: float, fuzz: float) -> State:
    """The state at t. The score has an error of at most fuzz * max(1, 1 %), always the same for the same t."""
    score = post.score_at(t)
    edited_at, title_edited, removed_by = None, False, None
    if post.life:
        removed_by = post.removed_by(t)
        for event in post.life:
            if event.at <= t:
                edited_at = event.at if event.kind == "edited" else edited_at
                title_edited = title_edited or event.kind == "edited_title"
    # The first votes are mostly upvotes; the ratio settles as more come in.
    ratio = 1.0 - (1.0 - post.ratio) * (score - 1) / (score + 9)
    if fuzz and score >= FUZZ_FROM:
        score = max(score + round(fuzz * max(1.0, 0.01 * score) * _noise(post.number, t)), 0)
    return State(
        score=score,
        num_comments=post.comments_at(t),
        upvote_ratio=round(ratio, 2),
        hide_score=t - post.created < HIDE_SCORE_SECONDS,
        removed_by=removed_by,
        edited_at=edited_at,
        title_edited=title_edited,
    )


def _noise(number: int, t: float) -> float:
    """Uniform in [-1, 1], a function of the post and the millisecond (the finalizer of splitmix64)."""
    z = (number * 0x9E3779B97F4A7C15 + int(t * 1000)) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / 2**63 - 1.0
