"""What the poller knows about each post, and which observations it publishes. Pure."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

# Posts older than this, in seconds, are forgotten: their state in the Faust table expires at the same age.
HORIZON = 48 * 3600.0
# Ages in seconds at which every post is observed and published, even if nothing changed. So posts can be compared at
# equal ages, and deletions are found.
CHECKPOINTS = (1800.0, 7200.0, 21600.0, 86400.0, 129600.0)
# Shortest time between two published observations of a post, in seconds.
PUBLISH_SPACING = 5.0
# Time constant of the smoothed score velocity, in seconds: long enough to average out the noise of single observations,
# short compared with the hours in which a post rises.
VELOCITY_MEMORY = 600.0
# After so many answers in a row that leave it out, a post is no longer shown. Fewer may be mistakes of Reddit.
MOST_ABSENCES = 3


class Seen(NamedTuple):
    """A post as an answer shows it. Times in seconds of the planner's clock.

    `state` and `text` stand for what else can change; they are only compared. What the source does not tell is None,
    and no change.
    """

    id: str
    subreddit: str
    created: float
    score: int | None
    comments: int | None
    state: Hashable = None
    text: int | None = None


class StoredPost(NamedTuple):
    """A post as the database has it when a poller starts.

    `is_unchanged`: its newest observation had the same score as the one before. `score_velocity` is 0 where it is
    unknown. `score` and `comments` are None where no observation told them.
    """

    id: str
    subreddit: str
    created: float
    published_at: float
    score: int | None
    comments: int | None
    is_unchanged: bool
    score_velocity: float = 0.0
    state: Hashable = None
    not_shown_since: float | None = None


@dataclass(slots=True)
class KnownPost:
    """A post that was published. Times are in seconds of the planner's clock.

    `score`, `comments`, `state` and `text` come from the newest published observation that told them. `is_unchanged`:
    that observation had the same score and comments as the one before. `seen_at` and `seen_score` come from the newest
    observation, published or not. `score_velocity` is smoothed over the observations until `velocity_at`. `refreshes`
    counts the refresh requests for the post. `due` is the time of the next refresh by its value (see `RefreshQueue`),
    and `checkpoint` is the time of its next checkpoint. `absences` counts the answers by id in a row that left the post
    out, the first of them at `absent_since`.
    """

    id: str
    subreddit: str
    created: float
    published_at: float
    score: int | None
    comments: int | None
    state: Hashable
    text: int | None
    is_unchanged: bool
    seen_at: float
    seen_score: int | None
    velocity_at: float
    score_velocity: float = 0.0
    refreshes: int = 0
    checkpoint: float = math.inf
    checkpoint_queued: bool = False
    due: float = math.inf
    absences: int = 0
    absent_since: float = math.inf

    @property
    def not_shown_since(self) -> float | None:
        """Since when Reddit no longer shows the post; None while it does, as far as is known."""
        return self.absent_since if self.absences >= MOST_ABSENCES else None


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
    """A post that was just published for the first time.

    Its velocity is unknown, so it does not count as unchanged, unless its source tells no score: then it has none.
    """
    return KnownPost(
        id=seen.id,
        subreddit=seen.subreddit,
        created=seen.created,
        published_at=now,
        score=seen.score,
        comments=seen.comments,
        state=seen.state,
        text=seen.text,
        is_unchanged=seen.score is None,
        seen_at=now,
        seen_score=seen.score,
        velocity_at=now,
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
        is_unchanged=post.is_unchanged,
        seen_at=post.published_at,
        seen_score=post.score,
        velocity_at=post.published_at,
        score_velocity=post.score_velocity,
        checkpoint=next_checkpoint(post.created, post.published_at),
        absences=0 if post.not_shown_since is None else MOST_ABSENCES,
        absent_since=math.inf if post.not_shown_since is None else post.not_shown_since,
    )


def note_observation(known: KnownPost, seen: Seen, now: float) -> bool:
    """Update the last observation and the smoothed score velocity; returns whether the score changed since then."""
    known.seen_at = now
    if known.not_shown_since is None:
        known.absences = 0
    if seen.score is None:
        return False
    if known.seen_score is None:
        known.seen_score, known.velocity_at = seen.score, now
        return False
    change = seen.score - known.seen_score
    if change == 0 and known.score_velocity == 0.0:
        known.velocity_at = now
        return False
    elapsed = max(now - known.velocity_at, 1.0)
    if change == 0 and elapsed < 60.0:
        return False
    known.score_velocity += (change / elapsed - known.score_velocity) * (1.0 - math.exp(-elapsed / VELOCITY_MEMORY))
    if abs(known.score_velocity) < 1e-6:
        known.score_velocity = 0.0
    known.velocity_at = now
    known.seen_score = seen.score
    return change != 0


def note_absence(known: KnownPost, now: float, *, counts: bool) -> None:
    """An answer by id left the post out. `counts`: the answer tells something about the post."""
    known.seen_at = now
    known.checkpoint = next_checkpoint(known.created, now)
    if not counts:
        return
    if known.absences == 0:
        known.absent_since = now
    known.absences += 1


def may_publish(known: KnownPost, now: float) -> bool:
    """Whether an observation of a known post can be published now: at most one in 5 s is."""
    return now - known.published_at >= PUBLISH_SPACING


def must_publish(known: KnownPost, seen: Seen, now: float) -> bool:
    """Whether an observation of a known post is published: at most once in 5 s, and only for one of these reasons.

    Something changed since the last published observation; a checkpoint is due; the last published observation showed
    a change, so that this one must show that the velocity is 0 again; or the post counts as no longer shown.
    """
    return may_publish(known, now) and (
        _numbers_changed(known, seen)
        or now >= known.checkpoint
        or known.not_shown_since is not None
        or state_changed(known, seen)
        or text_changed(known, seen)
    )


def _numbers_changed(known: KnownPost, seen: Seen) -> bool:
    """Whether numbers differ from the published ones, or must show that they no longer change."""
    if seen.score is None:
        return False
    return not known.is_unchanged or seen.score != known.score or seen.comments != known.comments


def state_changed(known: KnownPost, seen: Seen) -> bool:
    """Whether the state differs from the published one."""
    return seen.state is not None and seen.state != known.state


def text_changed(known: KnownPost, seen: Seen) -> bool:
    """Whether the text differs from the published one. The first text that this poller sees counts as unchanged."""
    return known.text is not None and seen.text is not None and seen.text != known.text


def note_published(known: KnownPost, seen: Seen, now: float) -> None:
    """Record that the brokers confirmed a refresh. Later observations are compared with it."""
    if seen.score is not None:
        known.is_unchanged = seen.score == known.score and seen.comments == known.comments
        known.score, known.comments = seen.score, seen.comments
    known.published_at = now
    known.absences = 0
    if seen.state is not None:
        known.state = seen.state
    if seen.text is not None:
        known.text = seen.text
    if now >= known.checkpoint:
        known.checkpoint = next_checkpoint(known.created, now)
