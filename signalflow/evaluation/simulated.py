"""Observations of the simulator's posts as the poller would make them, without Kafka, HTTP or a real clock.

Assumed: no outage, and a budget that refreshes each post when its value reaches THRESHOLD, which is where the planner's
own threshold begins. A discovery comes up to the priority's interval after the creation; listings show the post a few
times more (in truth at each poll, for ten minutes to an hour). As in the poller, an observation is published when
numbers changed, once more when they did not, and at checkpoints. A velocity is that since the observation before. Posts
that are taken away are seen once more, and then no longer.

A subreddit that is observed from a moment on is read back by a day, as the first look back does: its posts that are
shown then are discovered within LOOK_BACK_SECONDS, the newest first, and refreshed like others.
"""

from collections.abc import Iterator, Sequence

from signalflow.domain.known import CHECKPOINTS, KnownPost
from signalflow.domain.refresh import SHORTEST_REPEAT, value_per_minute
from signalflow.domain.signals.subreddit import Seen
from signalflow.domain.subreddits import POLL_SECONDS
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.subreddits import stable_number

THRESHOLD = 0.5
# Ages in seconds at which listings show a post again.
LISTED_AGAIN = (60.0, 120.0, 240.0, 480.0)
LAST_AGE = CHECKPOINTS[-1]
# How long reading a day back takes, and how far back it reaches.
LOOK_BACK_SECONDS, LOOK_BACK = 120.0, 86_400.0


def observations(posts: Sequence[Post], until: float, fuzz: float, since: float = 0.0) -> list[Seen]:
    """All observations of the posts of one subreddit from `since` to `until`, by time."""
    seen = [one for post in posts if post.created >= since - LOOK_BACK for one in _of_post(post, until, fuzz, since)]
    return sorted(seen, key=lambda one: (one.observed_us, one.post_id))


def _of_post(post: Post, until: float, fuzz: float, since: float) -> Iterator[Seen]:
    delay = 1.0 + _interval(post) * (stable_number(post.id) / 2**64)
    is_looked_back = post.created < since
    at = since + (since - post.created) / LOOK_BACK * LOOK_BACK_SECONDS if is_looked_back else post.created + delay
    if not post.visible_at(at):
        # A post that a filter holds is found when it is restored.
        spans = [span for span in post.visible_spans() if span[0] > at]
        if not spans:
            return
        at, is_looked_back = spans[0][0] + delay, False
    known = KnownPost(
        id=post.id,
        subreddit=post.subreddit.key,
        created=post.created,
        published_at=at,
        score=None,
        comments=None,
        state=None,
        text=None,
        is_unchanged=False,
        seen_at=at,
        seen_score=None,
        velocity_at=at,
    )
    looks = (*(post.created + age for age in LISTED_AGAIN), *(post.created + mark for mark in CHECKPOINTS))
    before: tuple[float, int] | None = None
    published: tuple[int, int] | None = None
    was_unchanged = False
    is_listed = True
    while at < until and at - post.created <= LAST_AGE:
        state = state_of(post, at, fuzz)
        numbers = state.score, state.num_comments
        is_gone = state.removed_by is not None
        if numbers != published or not was_unchanged or is_gone or at - post.created in CHECKPOINTS:
            known.score_velocity = 0.0 if before is None else (state.score - before[1]) / (at - before[0])
            yield Seen(
                post_id=post.id,
                created_us=int(post.created) * 1_000_000,
                observed_us=int(at * 1_000_000),
                is_discovery=before is None,
                score=state.score,
                comments=state.num_comments,
                ratio=state.upvote_ratio,
                score_velocity=None if before is None else known.score_velocity,
                is_late=False,
                is_taken_away=is_gone,
                is_backfill=is_looked_back,
                is_listed=is_listed,
            )
            was_unchanged = numbers == published
            # The pipeline knows nothing of a post of the look back until it is observed again.
            before, published = None if is_looked_back else (at, state.score), numbers
            is_looked_back = is_listed = False
        if is_gone:
            return
        known.refreshes += 1
        known.seen_score = state.score
        due = at + max(60.0 * THRESHOLD / value_per_minute(known, at), SHORTEST_REPEAT)
        at = min(due, next((look for look in looks if look > at), due))


def _interval(post: Post) -> float:
    return next(seconds for priority, seconds in POLL_SECONDS.items() if priority == post.subreddit.priority)
