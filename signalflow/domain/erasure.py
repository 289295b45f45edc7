"""What was erased on request, as whoever publishes must know it. Pure."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256


def author_digest(name: str) -> bytes:
    """What is kept of the name of an author who asked for erasure. The case of ASCII letters does not matter.

    PostgreSQL computes the same (signalflow/storage/erasure.py).
    """
    return sha256(name.encode().lower()).digest()


@dataclass(frozen=True, slots=True)
class Erased:
    """The digests of authors, and the ids of posts and comments, whose erasure was asked for."""

    authors: Set[bytes] = frozenset()
    posts: Set[str] = frozenset()
    comments: Set[str] = frozenset()

    def has_post(self, id_: str, author: str | None) -> bool:
        """Whether the words of this post are erased."""
        return id_ in self.posts or self._has_author(author)

    def has_comment(self, id_: str, author: str | None) -> bool:
        """Whether the words of this comment are erased."""
        return id_ in self.comments or self._has_author(author)

    def _has_author(self, name: str | None) -> bool:
        return name is not None and bool(self.authors) and author_digest(name) in self.authors


@dataclass(frozen=True, slots=True)
class ErasedPost:
    """What is left of an erased post, without numbers. `observed_at`: its newest observation.

    `is_told`: that observation says already that its erasure was asked for.
    """

    id: str
    subreddit: str
    created_utc: datetime
    observed_at: datetime
    is_told: bool
    over_18: bool | None
    is_self: bool | None
    edited_at: datetime | None


@dataclass(frozen=True, slots=True)
class ErasedComment:
    """The same of a comment."""

    id: str
    post_id: str
    subreddit: str
    created_utc: datetime
    observed_at: datetime
    is_told: bool
    parent_id: str | None
    depth: int | None
