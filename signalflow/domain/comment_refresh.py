"""Which published comments to look at again, by id: scores grow, and texts are deleted. Pure."""

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# A comment is looked at again at these ages, in seconds. Most votes come within hours, and Reddit hides scores for up
# to a day.
AGES = (1_800.0, 4 * 3_600.0, 26 * 3_600.0)
# Comments that are older, in seconds, are looked at by the sweep alone. Those of the last age wait for others.
LOOKED_AT_UNTIL = AGES[-1] + 3_600.0
# /api/info ignores every id when more are asked for.
BATCH = 100
# A batch goes when its first comment is late by so many seconds, so that others become due and go with it.
PATIENCE = 600.0
# After no answer that had to do with the batch, its comments wait so many seconds.
RETRY_AFTER = 300.0
# More comments are not remembered: at 200 bytes each they take 40 MB. Those that come then are not looked at again.
MOST_WAITING = 200_000


@dataclass(slots=True)
class _Waiting:
    subreddit: str
    created: float
    age: int


class CommentRefreshes:
    """The comments that wait for their next age. With `answers_ids` False there are none: they cannot be asked for."""

    def __init__(self, *, answers_ids: bool) -> None:
        self._answers_ids = answers_ids
        self._waiting: dict[str, _Waiting] = {}
        self._due: list[tuple[float, str]] = []

    def published(self, id_: str, subreddit: str, created: float, now: float) -> None:
        """A new comment was published. It waits for the first of its ages that lies ahead."""
        if self._answers_ids and id_ not in self._waiting and len(self._waiting) < MOST_WAITING:
            self._put(id_, _Waiting(subreddit, created, -1), now)

    def ready(self, now: float) -> bool:
        """Whether a batch may be taken now."""
        return now >= self.wake_at()

    def wake_at(self) -> float:
        """When the next batch may be taken; inf when none waits."""
        return self._due[0][0] + PATIENCE if self._due else math.inf

    def take(self, is_followed: Callable[[str], bool], now: float) -> tuple[str, ...]:
        """The comments of the next batch that are due, without those of subreddits that are no longer followed."""
        ids: list[str] = []
        while self._due and self._due[0][0] <= now and len(ids) < BATCH:
            _, id_ = heapq.heappop(self._due)
            if is_followed(self._waiting[id_].subreddit):
                ids.append(id_)
            else:
                del self._waiting[id_]
        return tuple(ids)

    def done(self, ids: Iterable[str], now: float) -> None:
        """Reddit has answered, or did not and the comments may be the reason: they wait for their next age."""
        for id_ in ids:
            self._put(id_, self._waiting[id_], now)

    def failed(self, ids: Iterable[str], now: float) -> None:
        """There was no answer, and the comments are not the reason."""
        for id_ in ids:
            heapq.heappush(self._due, (now + RETRY_AFTER, id_))

    def _put(self, id_: str, waiting: _Waiting, now: float) -> None:
        ahead = (age for age in range(waiting.age + 1, len(AGES)) if waiting.created + AGES[age] > now)
        age = next(ahead, None)
        if age is None:
            self._waiting.pop(id_, None)
            return
        waiting.age = age
        self._waiting[id_] = waiting
        heapq.heappush(self._due, (waiting.created + AGES[age], id_))
