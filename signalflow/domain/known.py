"""What the poller knows of each post, and when an observation is worth publishing again. Pure."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

# Posts older than this are forgotten: their state in the stream table expires at the same age.
HORIZON = 48 * 3600.0
# Ages at which every post is looked at and published, whatever its score does: comparable points and the check for deletions.
CHECKPOINTS = (1800.0, 7200.0, 21600.0, 86400.0, 129600.0)
# One post is published at most this often, in seconds.
PUBLISH_SPACING = 5.0
# Memory of the speed estimate, in seconds: long against the noise of one look, short against a post's rise (hours).
SPEED_MEMORY = 600.0


class Seen(NamedTuple):
    """A post as an answer shows it. Times in seconds of the planner's clock; `state` and `text` are only compared, never read."""

    id: str
    subreddit: str
    created: float
    score: int
    comments: int
    state: Hashable = None
    text: int | None = None


class StoredPost(NamedTuple):
    """A post as the database knows it, for a warm start. `resting`: its last velocity was 0."""

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
    """A post that was published. `score`, `comments`, `state`, `text` are the last published ones, `looked_*` the last seen."""

    id: str
    subreddit: str
    created: float
    published_at: float
    score: int
    comments: int
    state: Hashable
    text: int | None
    resting: bool
    looked_at: float
    looked_score: int
    speed_at: float
    speed: float = 0.0
    paid_looks: int = 0
    checkpoint: float = math.inf
    checkpoint_queued: bool = False
    due: float = math.inf


class Decision(NamedTuple):
    """Publish the answer's item number `item`: as new or as a refresh, with its body or without."""

    item: int
    is_new: bool
    with_body: bool


def next_checkpoint(created: float, at: float) -> float:
    """The first checkpoint of a post that lies after `at`; inf when all are behind."""
    age = at - created
    return next((created + mark for mark in CHECKPOINTS if mark > age), math.inf)


def first_seen(seen: Seen, now: float) -> KnownPost:
    """The record of a post that was just published for the first time. Its velocity is unknown, so it does not rest."""
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
        looked_at=now,
        looked_score=seen.score,
        speed_at=now,
        checkpoint=next_checkpoint(seen.created, now),
    )


def from_database(post: StoredPost) -> KnownPost:
    """The record of a post that an earlier poller published."""
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
        looked_at=post.published_at,
        looked_score=post.score,
        speed_at=post.published_at,
        speed=post.speed,
        checkpoint=next_checkpoint(post.created, post.published_at),
    )


def look(known: KnownPost, seen: Seen, now: float) -> bool:
    """Take note of a look, free or paid; returns whether the score moved since the look before."""
    known.looked_at = now
    change = seen.score - known.looked_score
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
    known.looked_score = seen.score
    return change != 0


def is_worth_publishing(known: KnownPost, seen: Seen, now: float) -> bool:
    """Whether a look at a known post is published: something changed, its last velocity was not 0, or a checkpoint is due; at most once in 5 s."""
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
    """Whether the text differs from the published one; a text never seen since a warm start counts as unchanged."""
    return known.text is not None and seen.text is not None and seen.text != known.text


def published(known: KnownPost, seen: Seen, now: float) -> None:
    """A refresh was confirmed by the brokers: from now on changes are measured against it."""
    known.resting = seen.score == known.score and seen.comments == known.comments
    known.published_at = now
    known.score = seen.score
    known.comments = seen.comments
    known.state = seen.state
    if seen.text is not None:
        known.text = seen.text
    if now >= known.checkpoint:
        known.checkpoint = next_checkpoint(known.created, now)
