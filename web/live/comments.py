"""Comments in the live stream: their messages, their records on the way to clients, and their filters."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from signalflow.clock import utcnow
from signalflow.domain.queries.evaluate import Document, document_of
from signalflow.domain.subreddits import account_name
from signalflow.events import CommentEnvelope, CommentId, PostId, Time, decode_comment
from web.live.protocol import DEMANDS, Author, FilterForm, Name, Token, check_query, encode_frame
from web.live.protocol import Search as SearchText
from web.live.queries import PreparedQuery
from web.live.records import LiveRecord


class LiveComment(Struct, kw_only=True, frozen=True):
    """The newest observation of a comment. What the source does not tell is null, as everywhere."""

    id: CommentId
    post_id: PostId
    parent_id: Annotated[str | None, Meta(description="What it answers: a comment (`t1_...`) or the post (`t3_...`).")]
    subreddit: str
    author: str | None
    body: str | None
    permalink: str | None
    created_utc: Time
    observed_at: Annotated[Time, Meta(description="When Reddit told this; of one comment it never goes back.")]
    score: int | None
    controversiality: int | None
    is_submitter: bool | None
    distinguished: str | None
    stickied: bool | None
    edited_at: Time | None
    removed_by: str | None

    @classmethod
    def of(cls, envelope: CommentEnvelope) -> "LiveComment":
        """The observation as clients get it."""
        comment, metadata = envelope.payload, envelope.metadata
        told: dict[str, Any] = {name: getattr(comment, name, None) for name in cls.__struct_fields__}
        return cls(**told | {"subreddit": metadata.subreddit, "observed_at": metadata.observed_at})


class Comments(Struct, kw_only=True, frozen=True, tag_field="type", tag="comments"):
    """Comments that match the filter, and comments that were taken away, each comment at most once.

    At most one such frame per `live_frame_ms`.
    """

    id: Token
    comments: list[LiveComment]
    retract: Annotated[
        list[CommentId],
        Meta(
            description="Comments that were taken away: show no text or author of them any more. They come to every "
            "client whose filter has their subreddit and post, also if it never got them. A comment that is restored "
            "comes again in `comments`."
        ),
    ] = []


class CommentFilter(Struct, kw_only=True, frozen=True, tag_field="type", tag="filter", forbid_unknown_fields=True):
    """What a client of comments wants: all conditions must hold; an empty list and null are no condition.

    The REST API has the same names. The filter replaces the whole earlier one.
    """

    subreddit: Annotated[list[Name], Meta(max_length=500, description="Any of these, without `r/`, in any case.")] = []
    author: Annotated[Author | None, Meta(description="By this author, in any case.")] = None
    q: Annotated[
        SearchText | None,
        Meta(description="With a text that has these words, or words that begin with them, as the titles of posts."),
    ] = None
    post_id: Annotated[list[PostId], Meta(max_length=500, description="Under any of these posts.")] = []


COMMENT_FILTERS = FilterForm(
    CommentFilter,
    {name: DEMANDS[name] for name in ("subreddit", "author", "q")} | {"post_id": DEMANDS["id"]},
    lists=frozenset({"subreddit", "post_id"}),
    check=check_query,
)
_TOLD_BY_THE_API = ("controversiality", "is_submitter", "distinguished", "stickied", "edited_at")


@dataclass(frozen=True)
class CommentRecord(LiveRecord):
    """An observation of a comment on its way to clients."""

    comment: LiveComment

    @property
    def id(self) -> str:
        """The comment's id."""
        return self.comment.id

    @property
    def observed_at(self) -> datetime:
        """When Reddit told this."""
        return self.comment.observed_at

    @property
    def is_removal(self) -> bool:
        """Whether the observation says that the comment was taken away."""
        return bool(self.comment.removed_by)

    @cached_property
    def document(self) -> Document:
        """The comment as queries see it, of the age at which it came in: made only if a filter has a query."""
        comment = self.comment
        return document_of(
            "comment",
            comment.body or "",
            subreddit=comment.subreddit,
            author=comment.author,
            score=comment.score,
            age=(utcnow() - comment.created_utc).total_seconds(),
        )

    def over(self, older: LiveRecord) -> "CommentRecord":
        """This observation, with what only an older one of the same comment tells: feeds tell no numbers and flags."""
        assert isinstance(older, CommentRecord)
        if self.is_removal or older.is_removal:
            return self
        old, new = older.comment, self.comment
        kept: list[str] = []
        if new.score is None and old.score is not None:
            kept.append("score")
        if new.is_submitter is None and old.is_submitter is not None:
            kept += _TOLD_BY_THE_API
        if not kept:
            return self
        merged = msgspec.structs.replace(new, **{name: getattr(old, name) for name in kept})
        text = encode_frame(merged)
        return replace(self, comment=merged, text=text.decode(), size=len(text))


def comment_record(partition: int, offset: int, value: bytes) -> CommentRecord | None:
    """The record as clients get it; None for a comment from a file. Raises Invalid when it cannot be decoded."""
    envelope = decode_comment(value)
    if envelope.mode == "backfill":
        return None
    comment = LiveComment.of(envelope)
    text = encode_frame(comment)
    return CommentRecord(partition, offset, text.decode(), len(text), comment)


class CommentMatcher:
    """A filter of comments prepared for matching; equal filters have equal keys."""

    def __init__(self, wanted: CommentFilter) -> None:
        self._subreddits = frozenset(name.lower() for name in wanted.subreddit)
        self._author = wanted.author and account_name(wanted.author).lower()
        self._posts = frozenset(wanted.post_id)
        self._query = PreparedQuery(wanted.q)
        self.key: tuple[Any, ...] = (
            *(self._subreddits, self._author, self._posts),
            *self._query.key,
        )

    def __call__(self, record: CommentRecord) -> bool:
        comment = record.comment
        if self._subreddits and comment.subreddit.lower() not in self._subreddits:
            return False
        if self._posts and comment.post_id not in self._posts:
            return False
        # An earlier observation, which had a text and an author, may have been sent.
        return record.is_removal or (
            (self._author is None or (comment.author or "").lower() == self._author) and self._query.is_met(record)
        )
