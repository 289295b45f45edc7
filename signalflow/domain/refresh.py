"""Which known posts to refresh next: first posts with a due checkpoint, then posts whose refresh has most value. Pure.

The value of a refresh grows with the time since the post was last seen. Ranking all posts for every batch would be
slow. Instead each post waits in a heap until the value of its refresh reaches a threshold, which is the same for all
posts. The threshold rises while more posts are due than a batch holds, and falls while batches have room.
"""

import heapq
import math
from collections.abc import Callable, Mapping

from signalflow.domain.backoff import Backoff
from signalflow.domain.batches import UnansweredBatches
from signalflow.domain.known import KnownPost
from signalflow.domain.suspicion import LastAnswers

# /api/info ignores every id when more are asked for.
BATCH = 100
# Shortest time in seconds between two refreshes by value: a score hardly changes within a shorter time.
SHORTEST_REPEAT = 180.0
# A post whose score no longer changes reaches the value 1 after half a day (720 minutes): it may have been deleted.
FLOOR_PER_MINUTE = 1.0 / 720.0
# When a post that answers left out is asked for again: a ban or a mistake of Reddit's may end.
AFTER_ABSENCES = Backoff(first=SHORTEST_REPEAT, most=12 * 3600.0)
# Change of the score per minute that every young post may begin to show. It fades with the age of the post and with
# each refresh.
PRIOR_PER_MINUTE = 0.1
PRIOR_AGE_MINUTES = 120.0
# Factor by which the threshold rises or falls after a batch.
THRESHOLD_STEP = 1.03
# A batch with room takes posts that are due later. Looking for those that were not seen lately ends after so many that
# were: where the budget is ample all were, and they may be tens of thousands.
MOST_SEEN_LATELY = 1_000
# When no post could be refreshed, ask again after this many seconds.
EMPTY_WAIT = 5.0
# Batches that had no answer come first. Where answers showed no post, they are many, and the next batch comes before
# them when it is late by so many seconds: less than the planner's REFRESH_PATIENCE, after which listings wait.
PATIENCE_WITH_EMPTY_ANSWERS = 30.0
LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.01, 20.0


def value_per_minute(known: KnownPost, now: float) -> float:
    """How much the value of a refresh grows in a minute: the expected change of the score divided by its noise.

    The noise is 2 + sqrt(score).
    """
    age_minutes = max(now - known.created, 0.0) / 60.0
    prior = PRIOR_PER_MINUTE * math.exp(-age_minutes / PRIOR_AGE_MINUTES) / (1 + known.refreshes)
    noise = 2.0 + math.sqrt(max(known.seen_score or 0, 0))
    return (abs(known.score_velocity) * 60.0 + prior) / noise + FLOOR_PER_MINUTE


class RefreshQueue:
    """The order in which known posts are refreshed.

    `take` returns at most `ids_per_minute` ids a minute, in batches of up to 100. With 0 nothing is refreshed. Batches
    that had no answer come again in between, as soon as they are due.
    """

    def __init__(self, ids_per_minute: float, answers: LastAnswers | None = None) -> None:
        self._answers = answers or LastAnswers()
        self._unanswered = UnansweredBatches(self._answers)
        self._every = 60.0 * BATCH / ids_per_minute if ids_per_minute > 0 else math.inf
        self._threshold = 0.5
        self._by_due: list[tuple[float, str]] = []
        self._by_checkpoint: list[tuple[float, str]] = []
        self.next_at = -math.inf if ids_per_minute > 0 else math.inf

    def put(self, known: KnownPost, now: float) -> None:
        """A post waits for its next refresh: it is new, or it was taken and its refresh succeeded or failed."""
        if self._every == math.inf:
            return
        known.due = self._due(known, now)
        heapq.heappush(self._by_due, (known.due, known.id))
        self._queue_checkpoint(known)

    def score_changed(self, known: KnownPost, now: float) -> None:
        """A listing showed a new score: refresh the post earlier if its value now grows faster."""
        due = self._due(known, now)
        if due < known.due and self._every < math.inf:
            known.due = due
            heapq.heappush(self._by_due, (due, known.id))

    @property
    def set_aside(self) -> frozenset[str]:
        """The posts whose requests Reddit does not answer, though it answers others."""
        return self._unanswered.set_aside

    def ready(self, now: float) -> bool:
        """Whether a batch may be taken now."""
        return now >= self.wake_at()

    def wake_at(self) -> float:
        """When `ids_per_minute` allows the next batch, or a batch that had no answer is due."""
        return min(self.next_at, self._unanswered.next_due())

    def answered(self, ids: tuple[str, ...], now: float) -> None:
        """Reddit answered a request of these ids."""
        self._unanswered.answered(ids, now)

    def unanswered(self, ids: tuple[str, ...], now: float, *, was_empty: bool = False) -> None:
        """A request had no answer, and one of its ids may be the reason: they are asked again without a `put`.

        `was_empty`: the answer showed no post.
        """
        self._unanswered.unanswered(ids, now, was_empty=was_empty)

    def shown_lately(self, now: float) -> bool:
        """Whether Reddit has shown a post by its id within the last minutes."""
        return self._answers.shown_lately("posts", now)

    def failed(self, ids: tuple[str, ...], now: float) -> bool:
        """A request had no answer for another reason. Returns whether the ids are asked again without a `put`."""
        return self._unanswered.failed(ids, now)

    def take(self, posts: dict[str, KnownPost], now: float, wanted: Callable[[KnownPost], bool]) -> list[str]:
        """Up to 100 ids to refresh now. Posts that are not `wanted` are refreshed at their checkpoints only.

        Posts that an answer left out come in batches of their own: one of them may be the reason of an empty answer.
        The caller must `put` every id back, or pass them to `unanswered`.
        """
        if self._unanswered.are_emptied and now - self.next_at > PATIENCE_WITH_EMPTY_ANSWERS:
            return self._take_due(posts, now, wanted) or list(self._unanswered.take(posts, now))
        return list(self._unanswered.take(posts, now)) or self._take_due(posts, now, wanted)

    def _take_due(self, posts: dict[str, KnownPost], now: float, wanted: Callable[[KnownPost], bool]) -> list[str]:
        # A post that is asked again in its own batch would make this one fail as well.
        elsewhere = self._unanswered.ids
        chosen = self._take_checkpoints(posts, now, elsewhere)
        taken = set(chosen)
        heap = self._by_due
        seen_lately: list[tuple[float, str]] = []
        while heap and len(chosen) < BATCH and len(seen_lately) < MOST_SEEN_LATELY:
            due, id_ = heapq.heappop(heap)
            known = posts.get(id_)
            if known is None or due != known.due or id_ in taken or id_ in elsewhere:
                continue
            if not wanted(known):
                known.due = math.inf
                continue
            recomputed = self._due(known, now)
            if recomputed > now and recomputed > due:
                # A listing showed the post in between, or its velocity fell: it waits again. It can still get into this
                # batch when no other post is due earlier.
                known.due = recomputed
                heapq.heappush(heap, (recomputed, id_))
            elif now - known.seen_at < SHORTEST_REPEAT:
                seen_lately.append((due, id_))
            else:
                chosen.append(id_)
                taken.add(id_)
        for entry in seen_lately:
            heapq.heappush(heap, entry)
        self._adjust_threshold(now, full=len(chosen) >= BATCH)
        chosen = self._of_one_kind(chosen, posts)
        scheduled = self.next_at + self._every
        if not chosen:
            self.next_at = now + EMPTY_WAIT
        else:
            # A batch that is late by less than one interval does not delay the next one. After a longer delay the
            # missed batches are dropped, because they would come as a burst.
            self.next_at = scheduled if scheduled > now else now + self._every
        return chosen

    def _of_one_kind(self, chosen: list[str], posts: Mapping[str, KnownPost]) -> list[str]:
        """Either the posts that the last answer left out, or the others; the rest goes back, and comes next."""
        if not chosen:
            return chosen
        first = min(chosen, key=lambda id_: posts[id_].due)
        kept = []
        for id_ in chosen:
            known = posts[id_]
            if bool(known.absences) == bool(posts[first].absences):
                kept.append(id_)
            else:
                heapq.heappush(self._by_due, (known.due, id_))
                self._queue_checkpoint(known)
        return kept

    def _take_checkpoints(self, posts: dict[str, KnownPost], now: float, elsewhere: frozenset[str]) -> list[str]:
        chosen: list[str] = []
        heap = self._by_checkpoint
        while heap and heap[0][0] <= now and len(chosen) < BATCH:
            _, id_ = heapq.heappop(heap)
            known = posts.get(id_)
            if known is None:
                continue
            known.checkpoint_queued = False
            if id_ in elsewhere:
                continue
            if known.checkpoint > now:
                # A listing showed the post after this checkpoint already.
                self._queue_checkpoint(known)
            else:
                chosen.append(id_)
        return chosen

    def _queue_checkpoint(self, known: KnownPost) -> None:
        if known.checkpoint < math.inf and not known.checkpoint_queued:
            known.checkpoint_queued = True
            heapq.heappush(self._by_checkpoint, (known.checkpoint, known.id))

    def _due(self, known: KnownPost, now: float) -> float:
        if known.absences:
            return known.seen_at + AFTER_ABSENCES.after(known.absences)
        minutes = self._threshold / value_per_minute(known, now)
        return known.seen_at + max(minutes * 60.0, SHORTEST_REPEAT)

    def _adjust_threshold(self, now: float, *, full: bool) -> None:
        overdue = full and bool(self._by_due) and self._by_due[0][0] <= now
        threshold = self._threshold * THRESHOLD_STEP if overdue else self._threshold / THRESHOLD_STEP
        self._threshold = min(max(threshold, LOWEST_THRESHOLD), HIGHEST_THRESHOLD)
