"""The protocols through which polling uses the rest of the application. It knows neither Kafka nor the database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from signalflow.domain.budget import Handover
from signalflow.domain.comment_planner import StoredComment
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.erasure import Erased, ErasedComment, ErasedPost
from signalflow.domain.gaps import GapRecord, Outcome
from signalflow.domain.known import StoredPost
from signalflow.domain.lease import Claim
from signalflow.domain.once import OnceRun
from signalflow.domain.overlap import Gap
from signalflow.domain.post_run import PostRun
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.sweep import StoredText
from signalflow.events import CommentEnvelope, Envelope


class PostPublisher(Protocol):
    """Where observations go."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """Publish; returns for each envelope whether the brokers confirmed it. An outage raises nothing."""
        ...


class GapLedger(Protocol):
    """Records gaps. Every call raises Retryable while the ledger is away."""

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        """Record a gap; returns the id of its row. Posts created after `newest` may be missing."""
        ...

    async def advance_gap(self, record: int, after: str | None, pages: int, until: datetime | None) -> None:
        """Record how far a gap was read: posts created after `until` are published, None while nothing was read."""
        ...

    async def close_gap(self, record: int, outcome: Outcome, until: datetime | None) -> None:
        """Record how a gap ended, and how far it was read until then."""
        ...

    async def open_gaps(self) -> Sequence[GapRecord]:
        """The gaps that an earlier poller left open. Times in epoch seconds."""
        ...


class ConfigSource(Protocol):
    """Gives the configured subreddits, and takes reports on them."""

    async def subreddits(self) -> Sequence[Subreddit]:
        """The subreddits to watch now, without paused ones, with their last reported poll.

        Raises SignalflowError when they cannot be read.
        """
        ...

    async def report(
        self, polled: Mapping[str, datetime], states: Mapping[str, str], comments_polled: Mapping[str, datetime]
    ) -> None:
        """Report when each subreddit was last in a listing whose new posts were all confirmed, and changed states.

        `comments_polled`: when it was last in such a listing of comments. A state is `ok`, or one word that says
        why Reddit refuses the subreddit.
        """
        ...


class KnownSource(Protocol):
    """Gives the posts that the database knows, and is told which of them Reddit no longer shows."""

    async def known_posts(self, since: datetime, names: Iterable[str] | None = None) -> Sequence[StoredPost]:
        """The posts created at or after `since`, with epoch seconds, of all subreddits or of these.

        Raises Retryable while the database is away.
        """
        ...

    async def mark_not_shown(self, since: Mapping[str, datetime]) -> None:
        """Record since when Reddit no longer shows these posts; a newer observation ends that.

        To repeat it changes nothing. Raises Retryable while the database is away.
        """
        ...


class DiscoverySink(Protocol):
    """Where it is recorded what rises in subreddits that are not watched."""

    async def note_rising(self, posts: Sequence[RisingPost]) -> None:
        """Record these posts; to repeat it changes nothing. Raises Retryable while the database is away."""
        ...

    async def note_popular(self, subreddits: Sequence[PopularSubreddit], seen_at: datetime) -> None:
        """Record the list of popular subreddits in place of older ones. As `note_rising` otherwise."""
        ...


class RunSource(Protocol):
    """Gives the runs that somebody asked for, and takes their results."""

    async def runs_waiting(self) -> Sequence[OnceRun]:
        """The runs that are not done. Raises Retryable while they cannot be read."""
        ...

    async def report_run(self, run: OnceRun) -> None:
        """Record the results so far; to repeat it changes nothing. Raises Retryable while that is not possible."""
        ...


class TextSource(Protocol):
    """Gives the stored posts, or comments, that have text, for their sweep.

    Everything raises Retryable while the database is away.
    """

    async def texts_after(self, id_: str, created_before: datetime, most: int) -> Sequence[StoredText]:
        """The first ones after this id that were created before that time and have text, in the order of their ids.

        The state of each is `signalflow.reddit.observations.text_state`.
        """
        ...

    async def sweep_reached(self) -> str:
        """The id up to which the round has checked them; empty at its beginning."""
        ...

    async def mark_swept(self, reached: str) -> None:
        """Record how far the round is; empty: it has ended, and the next one begins."""
        ...


class ErasureSource(Protocol):
    """Gives what was erased on request."""

    async def erased_on_request(self) -> Erased:
        """Everything whose erasure was asked for until now. Raises Retryable while the database is away."""
        ...

    async def erased_rows(
        self, posts: Sequence[str], comments: Sequence[str]
    ) -> tuple[Sequence[ErasedPost], Sequence[ErasedComment]]:
        """What is left of those of these posts and comments that are stored. Raises Retryable as well."""
        ...


class CommentPublisher(Protocol):
    """Where observations of comments go."""

    async def publish(self, envelopes: Sequence[CommentEnvelope]) -> list[bool]:
        """As PostPublisher does."""
        ...


class KnownComments(Protocol):
    """Gives the comments that the database knows."""

    async def known_comments(self, until: Mapping[str, datetime | None], each: int) -> Sequence[StoredComment]:
        """The newest comments of each subreddit, and the newest that were written until its time; `each` of both.

        Names in lower case. Raises Retryable while the database is away.
        """
        ...


class CommentRuns(Protocol):
    """Gives the runs that somebody asked for comments of posts, and takes their results."""

    async def comment_runs_waiting(self) -> Sequence[PostRun]:
        """The runs that are not done. Raises Retryable while they cannot be read."""
        ...

    async def report_comment_run(self, run: PostRun) -> None:
        """Record the results so far; to repeat it changes nothing. Raises Retryable while that is not possible."""
        ...


@dataclass(frozen=True)
class CommentPorts:
    """What polling needs for comments.

    Where they go, a ledger of their gaps alone, what the database knows, the runs that somebody asked for, and the
    texts that the sweep checks.
    """

    publisher: CommentPublisher
    ledger: GapLedger
    known: KnownComments
    runs: CommentRuns
    texts: TextSource


class Permit(Protocol):
    """The right of this process to ask Reddit. It ends unless it is renewed."""

    def until(self) -> float:
        """When, by `clock.steady`, the last answer must have come; it may move on meanwhile. -inf without the right."""
        ...

    async def record(self) -> None:
        """Record at once how the budget stands, so that a successor knows. While the database is away, do nothing."""
        ...


class Lease(Protocol):
    """The lease on polling, as one process asks for it."""

    async def renew(self, handover: Handover) -> tuple[Claim, Handover]:
        """Take the lease or hold it longer; `handover` is recorded if it was held already.

        Returns what became of it, and what the present poller must know. Raises Retryable without an answer.
        """
        ...

    async def release(self, handover: Handover) -> None:
        """End the lease at once if this process holds it. Raises Retryable without an answer."""
        ...

    async def close(self) -> None:
        """Close the connection. The lease stays as it is."""
        ...


class OtherWorkers(Protocol):
    """What the other workers say of themselves. Every call raises Retryable while it cannot be read."""

    async def another_leads(self) -> bool:
        """Whether another worker, which is not silent, says that it leads."""
        ...

    async def leader_cannot_poll(self) -> bool:
        """Whether there is a leader that is not silent and says that it cannot poll."""
        ...
