"""What the poller knows about each post, and which observations it publishes. Pure."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

# Posts older than this, in seconds, are forgotten: their state in the Faust table expires at the same age.
HORIZON = 48 * 3600.0
# Ages in seconds at which every post is observed and published, even if nothing changed. They give points that can be
# compared between posts, and show deletions.
CHECKPOINTS = (1800.0, 7200.0, 21600.0, 86400.0, 129600.0)
# Shortest time between two published observations of a post, in seconds.
PUBLISH_SPACING = 5.0
# Time constant of the speed estimate, in seconds: long compared with the noise of one observation, short compared with
# the hours in which a post rises.
SPEED_MEMORY = 600.0


class Seen(NamedTuple):
    """A post as an answer shows it. Times in seconds of the planner's clock.

    `state` and `text` stand for what else can change; they are only compared.
    """

    id: str
    subreddit: str
    created: float
    score: int
    comments: int
    state: Hashable = None
    text: int | None = None


class StoredPost(NamedTuple):
    """A post as the database has it when a poller starts. `resting`: its velocity was 0. `speed`: score per second."""

    id: str
    subreddit: str
    created: float
    published_at: float
    score: int
    comments: int
    resting: bool
    speed: float = 0.0
    state: Hashable = None


@dataclass(slots=True)
class KnownPost:
    """A post that was published. Times in seconds of the planner's clock, `speed` in score per second.

    `score`, `comments`, `state` and `text` are those of the newest published observation, `seen_at` and `seen_score`
    those of the newest observation. `refreshes` counts the refresh requests for it, `due` is when the next one is worth
    its cost, and `checkpoint` is when the next one must be made.
    """

    id: str
    subreddit: str
    created: float
    published_at: float
    score: int
    comments: int
    state: Hashable
    text: int | None
    resting: bool
    seen_at: float
    seen_score: int
    speed_at: float
    speed: float = 0.0
    refreshes: int = 0
    checkpoint: float = math.inf
    checkpoint_queued: bool = False
    due: float = math.inf


class Decision(NamedTuple):
    """Publish the answer's item number `item`, as new or as a refresh, with or without its body."""

    item: int
    is_new: bool
    with_body: bool


def next_checkpoint(created: float, at: float) -> float:
    """When the first checkpoint of a post after `at` is; inf when there is none."""
    age = at - created
    return next((created + mark for mark in CHECKPOINTS if mark > age), math.inf)


def first_seen(seen: Seen, now: float) -> KnownPost:
    """A post that was just published for the first time. Its velocity is unknown, so it is not resting."""
    return KnownPost(
        id=seen.id,
        subreddit=seen.subreddit,
        created=seen.created,
        published_at=now,
        score=seen.score,
        comments=seen.comments,
        state=seen.state,
        text=seen.text,
        resting=False,
        seen_at=now,
        seen_score=seen.score,
        speed_at=now,
        checkpoint=next_checkpoint(seen.created, now),
    )


def from_database(post: StoredPost) -> KnownPost:
    """A post that an earlier poller published."""
    return KnownPost(
        id=post.id,
        subreddit=post.subreddit,
        created=post.created,
        published_at=post.published_at,
        score=post.score,
        comments=post.comments,
        state=post.state,
        text=None,
        resting=post.resting,
        seen_at=post.published_at,
        seen_score=post.score,
        speed_at=post.published_at,
        speed=post.speed,
        checkpoint=next_checkpoint(post.created, post.published_at),
    )


def note_observation(known: KnownPost, seen: Seen, now: float) -> bool:
    """Update what was last seen and the score's speed; returns whether the score moved since the last observation."""
    known.seen_at = now
    change = seen.score - known.seen_score
    if change == 0 and known.speed == 0.0:
        known.speed_at = now
        return False
    elapsed = max(now - known.speed_at, 1.0)
    if change == 0 and elapsed < 60.0:
        return False
    known.speed += (change / elapsed - known.speed) * (1.0 - math.exp(-elapsed / SPEED_MEMORY))
    if abs(known.speed) < 1e-6:
        known.speed = 0.0
    known.speed_at = now
    known.seen_score = seen.score
    return change != 0


def is_worth_publishing(known: KnownPost, seen: Seen, now: float) -> bool:
    """Whether an observation of a known post is published.

    It is when something changed, the last velocity was not 0 or a checkpoint is due, but at most once in 5 s.
    """
    if now - known.published_at < PUBLISH_SPACING:
        return False
    return (
        not known.resting
        or seen.score != known.score
        or seen.comments != known.comments
        or now >= known.checkpoint
        or seen.state != known.state
        or text_changed(known, seen)
    )


def text_changed(known: KnownPost, seen: Seen) -> bool:
    """Whether the text differs from the published one. The first text that this poller sees counts as unchanged."""
    return known.text is not None and seen.text is not None and seen.text != known.text


def published(known: KnownPost, seen: Seen, now: float) -> None:
    """The brokers confirmed a refresh: later observations are compared with it."""
    known.resting = seen.score == known.score and seen.comments == known.comments
    known.published_at = now
    known.score = seen.score
    known.comments = seen.comments
    known.state = seen.state
    if seen.text is not None:
        known.text = seen.text
    if now >= known.checkpoint:
        known.checkpoint = next_checkpoint(known.created, now)
