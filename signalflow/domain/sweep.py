"""Which stored posts, or comments, to check for deletion: all that nothing else looks at, round after round. Pure.

Known posts are checked at their checkpoints (known.py), and known comments at some ages (comment_refresh.py). Later
nothing else observes them, but their authors may still delete them. The caller gives them in the order of their ids,
from where the last check ended. Posts and comments have a sweep each.
"""

import math
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from signalflow.domain.fetch import CommentsByIdRequest, Fetch, Findings, PostsRequest, Request
from signalflow.domain.known import Decision, Seen
from signalflow.domain.refresh import BATCH
from signalflow.domain.suspicion import LastAnswers

# When other requests take the whole budget, a batch that is late by this many seconds goes before them.
PATIENCE = 30.0


class StoredText(NamedTuple):
    """A post or comment with text in the database. `state` stands for what may have changed; it is only compared."""

    id: str
    state: Hashable


class Sweep:
    """The order of the checks, at most `ids_per_minute` a minute, in batches of up to 100. 0: no checks.

    `fetch` is the kind of requests, for posts or for comments. `answers` are those that Reddit gave to any request.

    `reached` is the id up to which all texts of this round were checked, and `read_to` that of the last one that was
    given; empty when a round begins.
    """

    def __init__(self, fetch: type["SweepFetch"], ids_per_minute: float, answers: LastAnswers) -> None:
        self._fetch, self._answers = fetch, answers
        self._failures, self._failed_at = 0, math.inf
        self._every = 60.0 * BATCH / ids_per_minute if ids_per_minute > 0 else math.inf
        self._waiting: deque[StoredText] = deque()
        self._in_flight: tuple[StoredText, ...] = ()
        self._next_at = -math.inf
        self.reached = self.read_to = ""

    def start(self, reached: str) -> None:
        """Go on where an earlier poller ended."""
        self.reached = self.read_to = reached

    @property
    def kind(self) -> str:
        """The kind of its requests, as metrics and logs name it."""
        return self._fetch.kind

    @property
    def wants_texts(self) -> bool:
        """Whether the caller should give more."""
        return self._every < math.inf and len(self._waiting) < BATCH

    def add(self, texts: Iterable[StoredText]) -> None:
        """The next ones of the round, in the order of their ids."""
        for text in texts:
            self._waiting.append(text)
            self.read_to = text.id

    def begin_round(self) -> None:
        """There are no more: begin again with the first."""
        self.reached = self.read_to = ""

    @property
    def is_through(self) -> bool:
        """Whether all that were given have been checked, and there was one."""
        return bool(self.reached) and not self._waiting and not self._in_flight

    def is_overdue(self, now: float) -> bool:
        """Whether a batch waits for longer than others may delay it."""
        if not self._waiting:
            return False
        if self._next_at == -math.inf:
            # The first batch of all waits from now on.
            self._next_at = now
        return now - self._next_at > PATIENCE

    def next(self, now: float) -> "SweepFetch | None":
        """The next check, or None when none is due. The caller tells how it ended."""
        if now < self._next_at or not self._waiting:
            return None
        # A batch that is late by less than one interval does not delay the next one. After a longer delay the missed
        # batches are dropped, because they would come as a burst.
        scheduled = self._next_at + self._every
        self._next_at = scheduled if scheduled > now else now + self._every
        self._in_flight = tuple(self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting))))
        return self._fetch(self._in_flight, self)

    def judge(self, fetch: "SweepFetch", items: Sequence[Seen], now: float) -> Findings:
        """Decide what to publish: each post or comment that is not as it is stored, with its text."""
        stored = {text.id: text.state for text in fetch.texts}
        findings = Findings(fetch, items, None, now)
        for index, item in enumerate(items):
            if item.id in stored and item.state != stored.pop(item.id):
                findings.decisions.append(Decision(index, is_new=False, with_body=True))
        return findings

    def confirm(self, findings: Findings, confirmed: Sequence[bool]) -> None:
        """Record the answer: `confirmed[i]` tells whether the brokers have `findings.decisions[i]`."""
        fetch = findings.fetch
        assert isinstance(fetch, SweepFetch)
        if all(confirmed):
            self.skip(fetch.texts)
        else:
            self.put_back(fetch.texts)

    def put_back(self, texts: Sequence[StoredText]) -> None:
        """These were not checked: they come next."""
        self._in_flight = ()
        self._waiting.extendleft(reversed(texts))

    def unanswered(self, texts: Sequence[StoredText], now: float) -> None:
        """There was no usable answer, and one of these may be the reason.

        They come next, unless the answers to other requests show that one of them is.
        """
        self._failures, failed_before, self._failed_at = self._failures + 1, self._failed_at, now
        if self._answers.cast_suspicion(self._fetch.request_kind, self._failures, failed_before):
            self.skip(texts)
        else:
            self.put_back(texts)

    def skip(self, texts: Sequence[StoredText]) -> None:
        """Go on after these: they were checked, or one of them is the reason that Reddit does not answer."""
        self._in_flight = ()
        self._failures, self._failed_at = 0, math.inf
        self.reached = texts[-1].id


@dataclass(slots=True, eq=False)
class SweepFetch(Fetch):
    """A check of stored posts or comments, requested by id. It discovers nothing."""

    is_refresh = True

    texts: tuple[StoredText, ...]
    sweep: Sweep

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that are asked for."""
        return tuple(text.id for text in self.texts)

    def asked_for(self, id_: str, subreddit: str) -> bool:
        return id_ in self.ids

    def new_since(self, now: float) -> float:
        return math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        return False

    def failed(self, now: float) -> None:
        self.sweep.put_back(self.texts)

    def unanswered(self, now: float) -> bool:
        self.sweep.unanswered(self.texts, now)
        return False


@dataclass(slots=True, eq=False)
class PostSweepFetch(SweepFetch):
    """A check of stored posts."""

    kind = "sweep"
    request_kind = "posts"

    @property
    def request(self) -> Request:
        return PostsRequest(self.ids)


@dataclass(slots=True, eq=False)
class CommentSweepFetch(SweepFetch):
    """A check of stored comments."""

    kind = "comments_sweep"
    request_kind = "comments_by_id"

    @property
    def request(self) -> Request:
        return CommentsByIdRequest(self.ids)
