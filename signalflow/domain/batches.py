"""Requests of posts by id that had no answer, halved until the post that is the reason is alone. Pure.

Reddit may answer 500 to every request that names one certain post. Its batch is asked again as it was. When it fails
again while Reddit answers others, it is halved, and so are the halves that fail. A single post that is the reason is
set aside and asked again, later after each try; the others are refreshed as usual.
"""

import math
from collections.abc import Container
from dataclasses import dataclass

from signalflow.domain.backoff import Backoff
from signalflow.domain.suspicion import FAILURES_BESIDE_OTHER_KIND, LastAnswers

# Waits until a batch that had no answer is asked again, and until a post that was set aside is.
RETRIES = Backoff(first=5.0, most=60.0)
SET_ASIDE = Backoff(first=60.0, most=3600.0)


@dataclass(slots=True, eq=False)
class _Batch:
    """Ids that are asked together.

    `due` is inf while they are being asked. `tries` counts how often in a row a single id was set aside. `is_emptied`:
    the last answer, to these ids or to those of which they are a half, showed no post.
    """

    ids: tuple[str, ...]
    due: float
    failures: int = 0
    failed_at: float = math.inf
    tries: int = 0
    is_emptied: bool = False


class UnansweredBatches:
    """The batches that Reddit did not answer. A batch is known by its ids."""

    def __init__(self, answers: LastAnswers) -> None:
        self._answers = answers
        self._batches: dict[tuple[str, ...], _Batch] = {}

    @property
    def set_aside(self) -> frozenset[str]:
        """The posts that are the reason why requests that name them have no answer."""
        return frozenset(batch.ids[0] for batch in self._batches.values() if batch.tries)

    @property
    def ids(self) -> frozenset[str]:
        """All ids of all batches."""
        return frozenset(id_ for ids in self._batches for id_ in ids)

    @property
    def are_emptied(self) -> bool:
        """Whether a batch waits because an answer showed no post: there may be a hundred, if all posts vanished."""
        return any(batch.is_emptied for batch in self._batches.values())

    def next_due(self) -> float:
        """When the next batch is to be asked; inf without one."""
        return min((batch.due for batch in self._batches.values()), default=math.inf)

    def take(self, known: Container[str], now: float) -> tuple[str, ...]:
        """The ids of the batch that has been due longest; empty when none is due. Ids that are not known are left out.

        The caller must report its answer with `answered`, `unanswered` or `failed`.
        """
        while self._batches:
            batch = min(self._batches.values(), key=lambda batch: batch.due)
            if batch.due > now:
                break
            del self._batches[batch.ids]
            batch.ids = tuple(id_ for id_ in batch.ids if id_ in known)
            if batch.ids:
                batch.due = math.inf
                self._batches[batch.ids] = batch
                return batch.ids
        return ()

    def answered(self, ids: tuple[str, ...], now: float) -> None:
        """Reddit answered these ids. Batches that wait are asked now: if they fail again, their ids are the reason."""
        self._batches.pop(ids, None)
        for batch in self._batches.values():
            if batch.due < math.inf and not batch.tries:
                batch.due = min(batch.due, now)

    def failed(self, ids: tuple[str, ...], now: float) -> bool:
        """There was no answer, and the ids are not the reason. Returns whether they are a batch of this object."""
        batch = self._batches.get(ids)
        if batch is not None:
            batch.due = now + RETRIES.first
        return batch is not None

    def unanswered(self, ids: tuple[str, ...], now: float, *, was_empty: bool = False) -> None:
        """There was no answer, and one of the ids may be the reason. `was_empty`: the answer showed no post."""
        batch = self._batches.setdefault(ids, _Batch(ids, math.inf))
        failed_before, batch.failed_at = batch.failed_at, now
        batch.failures += 1
        batch.is_emptied = was_empty
        batch.due = now + RETRIES.after(batch.failures)
        if len(ids) > 1:
            if self._answers.cast_suspicion("posts", batch.failures, failed_before, was_empty=was_empty):
                self._halve(batch, now)
        elif batch.tries or self._answers.convict("posts", failed_before):
            batch.tries += 1
            batch.due = now + SET_ASIDE.after(batch.tries)

    def _halve(self, batch: _Batch, now: float) -> None:
        del self._batches[batch.ids]
        middle = len(batch.ids) // 2
        for ids in (batch.ids[:middle], batch.ids[middle:]):
            half = _Batch(ids, now, FAILURES_BESIDE_OTHER_KIND - 1, now, is_emptied=batch.is_emptied)
            self._batches[ids] = half
