"""A run that somebody asked for: the top of some listings, read once by the worker that polls. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from signalflow.domain.words import RunOutcome

# After so many requests without an answer a subreddit counts as not read.
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class OnceResult:
    """What became of one subreddit of a run.

    Of its posts, `published` were new and confirmed by the brokers, `known` were known already (their ranks are
    observed too), and `failed` were not confirmed. `error` is a word for why it was not read; None when it was.
    """

    published: int = 0
    known: int = 0
    failed: int = 0
    error: str | None = None


@dataclass(slots=True, eq=False)
class OnceRun:
    """`post_sort` names the listing that is read of each subreddit, and `posts` how many of its posts."""

    id: int
    post_sort: str
    subreddits: Sequence[str]
    posts: int
    results: dict[str, OnceResult] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether every subreddit has a result."""
        return len(self.results) == len(self.subreddits)

    @property
    def outcome(self) -> RunOutcome | None:
        """What the run history says of it; None until it is done."""
        if not self.is_done:
            return None
        unread = sum(result.error is not None for result in self.results.values())
        if unread == len(self.results):
            return "failed"
        return "partly" if unread or any(result.failed for result in self.results.values()) else "ok"
