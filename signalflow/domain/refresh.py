"""Which known posts to look at next: hard checkpoints first, then those whose next look is worth most. Pure.

The worth of a look grows with the time since the last one. Instead of ranking all posts for every batch, each post waits in a heap until
its worth reaches the *price* of a look; the price follows demand, so that batches stay full and nobody waits past the others.
"""

import heapq
import math
from collections.abc import Callable

from signalflow.domain.known import KnownPost

# /api/info ignores every id when more are asked for.
BATCH = 100
# A look sooner than this after the last says too little, in seconds.
SHORTEST_REPEAT = 180.0
# A post that no longer moves is worth a look after half a day: it may be gone.
FLOOR_PER_MINUTE = 1.0 / 720.0
# Score per minute that a young post may begin to gain at any time, fading with its age and with looks that found nothing.
PRIOR_PER_MINUTE = 0.1
PRIOR_AGE_MINUTES = 120.0
PRICE_STEP = 1.03
# Nothing could be looked at: ask again after this many seconds.
EMPTY_WAIT = 5.0
LOWEST_PRICE, HIGHEST_PRICE = 0.01, 20.0


def worth_per_minute(known: KnownPost, now: float) -> float:
    """Worth that a look gains for each minute since the last one: expected change of the score against its noise, 2 + sqrt(score)."""
    age_minutes = max(now - known.created, 0.0) / 60.0
    prior = PRIOR_PER_MINUTE * math.exp(-age_minutes / PRIOR_AGE_MINUTES) / (1 + known.paid_looks)
    noise = 2.0 + math.sqrt(max(known.looked_score, 0))
    return (abs(known.speed) * 60.0 + prior) / noise + FLOOR_PER_MINUTE


class RefreshQueue:
    """The order in which known posts are looked at. `ids_per_minute` bounds what `take` hands out, in batches of up to 100."""

    def __init__(self, ids_per_minute: float) -> None:
        self._every = 60.0 * BATCH / ids_per_minute if ids_per_minute > 0 else math.inf
        self._price = 0.5
        self._by_worth: list[tuple[float, str]] = []
        self._by_checkpoint: list[tuple[float, str]] = []
        self.next_at = -math.inf

    def put(self, known: KnownPost, now: float) -> None:
        """A post is new, or a taken one was looked at, or that look failed: it waits for its next look."""
        if self._every == math.inf:
            return
        known.due = self._due(known, now)
        heapq.heappush(self._by_worth, (known.due, known.id))
        self._queue_checkpoint(known)

    def moved(self, known: KnownPost, now: float) -> None:
        """A free look saw the score move: look again earlier if that makes it worth more."""
        due = self._due(known, now)
        if due < known.due and self._every < math.inf:
            known.due = due
            heapq.heappush(self._by_worth, (due, known.id))

    def ready(self, now: float) -> bool:
        """Whether the cap allows a batch now."""
        return now >= self.next_at

    def take(self, posts: dict[str, KnownPost], now: float, wanted: Callable[[KnownPost], bool]) -> list[str]:
        """Up to 100 ids to look at now, or none. Posts that are not `wanted` are looked at for their checkpoints only.

        Every id taken must come back through `put`.
        """
        chosen = self._take_checkpoints(posts, now)
        taken = set(chosen)
        heap = self._by_worth
        postponed: list[tuple[float, str]] = []
        while heap and len(chosen) < BATCH:
            due, id_ = heapq.heappop(heap)
            known = posts.get(id_)
            if known is None or due != known.due or id_ in taken:
                continue
            if not wanted(known):
                known.due = math.inf
                continue
            fresh = self._due(known, now)
            if fresh > now and fresh > due:
                # A free look came in between, or it cooled down: it waits again, and may be looked at again in this batch if nobody is nearer.
                known.due = fresh
                heapq.heappush(heap, (fresh, id_))
            elif now - known.looked_at < SHORTEST_REPEAT:
                postponed.append((due, id_))
            else:
                chosen.append(id_)
                taken.add(id_)
        for entry in postponed:
            heapq.heappush(heap, entry)
        self._adjust_price(now, full=len(chosen) >= BATCH)
        beat = self.next_at + self._every
        if not chosen:
            self.next_at = now + EMPTY_WAIT
        else:
            # Late by less than one interval: keep the beat; later: do not catch up in a burst.
            self.next_at = beat if beat > now else now + self._every
        return chosen

    def _take_checkpoints(self, posts: dict[str, KnownPost], now: float) -> list[str]:
        chosen: list[str] = []
        heap = self._by_checkpoint
        while heap and heap[0][0] <= now and len(chosen) < BATCH:
            _, id_ = heapq.heappop(heap)
            known = posts.get(id_)
            if known is None:
                continue
            known.checkpoint_queued = False
            if known.checkpoint > now:
                # A free look has passed this checkpoint already.
                self._queue_checkpoint(known)
            else:
                chosen.append(id_)
        return chosen

    def _queue_checkpoint(self, known: KnownPost) -> None:
        if known.checkpoint < math.inf and not known.checkpoint_queued:
            known.checkpoint_queued = True
            heapq.heappush(self._by_checkpoint, (known.checkpoint, known.id))

    def _due(self, known: KnownPost, now: float) -> float:
        minutes = self._price / worth_per_minute(known, now)
        return known.looked_at + max(minutes * 60.0, SHORTEST_REPEAT)

    def _adjust_price(self, now: float, *, full: bool) -> None:
        overdue = full and bool(self._by_worth) and self._by_worth[0][0] <= now
        price = self._price * PRICE_STEP if overdue else self._price / PRICE_STEP
        self._price = min(max(price, LOWEST_PRICE), HIGHEST_PRICE)
