"""A run that somebody asked for: the comments of some posts, read once by the worker that polls. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PostResult:
    """What became of one post of a run.

    Of its comments, `published` were new and confirmed by the brokers, `known` were published before and again now,
    `failed` were not confirmed, and `not_followed` were left out by Reddit's answers and not read; None when no answer
    told that, as with feeds. `error` is a word for why the post was not read, or not to its end; None when it was.
    """

    published: int = 0
    known: int = 0
    failed: int = 0
    not_followed: int | None = None
    error: str | None = None


@dataclass(slots=True, eq=False)
class PostRun:
    """`comments` are read of each of these posts, at most. `is_given_up`: nobody waits for the results any more."""

    id: int
    posts: Sequence[str]
    comments: int
    results: dict[str, PostResult] = field(default_factory=dict)
    is_given_up: bool = False

    @property
    def is_done(self) -> bool:
        """Whether every post has a result."""
        return len(self.results) == len(self.posts)
