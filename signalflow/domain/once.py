"""A run that somebody asked for: the top of some listings, read once by the worker that polls. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from signalflow.domain.words import RunOutcome

# After so many requests without an answer a subreddit counts as not read.
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class OnceResult:
    """What became of one subreddit of a run: of its posts, or of its comments.

    Of these, `published` were new and confirmed by the brokers, `known` were known already (of posts the rank is
    observed too), and `failed` were not confirmed. `error` is a word for why they were not read; None when they were.
    """

    published: int = 0
    known: int = 0
    failed: int = 0
    error: str | None = None


@dataclass(slots=True, eq=False)
class OnceRun:
    """`post_sort` names the listing that is read of each subreddit, and `posts` how many of its posts.

    `comments` is how many of the newest comments of each are read beside; 0: none.
    """

    id: int
    post_sort: str
    subreddits: Sequence[str]
    posts: int
    comments: int = 0
    results: dict[str, OnceResult] = field(default_factory=dict)
    comment_results: dict[str, OnceResult] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the run history calls it."""
        return f"{self.id}: {self.post_sort} of {', '.join(self.subreddits)}"

    @property
    def number_of_results(self) -> int:
        """How many results there are: of posts, and of comments."""
        return len(self.results) + len(self.comment_results)

    @property
    def is_done(self) -> bool:
        """Whether every subreddit has its results."""
        return self.number_of_results == len(self.subreddits) * (2 if self.comments else 1)

    @property
    def outcome(self) -> RunOutcome | None:
        """What the run history says of it; None until it is done."""
        if not self.is_done:
            return None
        results = [*self.results.values(), *self.comment_results.values()]
        unread = sum(result.error is not None for result in results)
        if unread == len(results):
            return "failed"
        return "partly" if unread or any(result.failed for result in results) else "ok"
