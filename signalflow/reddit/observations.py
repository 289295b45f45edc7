"""Turns an item of an answer into what the planner compares, and into the envelope that is published."""

from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from signalflow.domain.known import Seen
from signalflow.domain.ranked_listings import Place
from signalflow.domain.sorts import NEW
from signalflow.domain.words import ObservationMode
from signalflow.events import CommentEnvelope, Envelope, Metadata, Post
from signalflow.reddit.protocol import FoundComment


def seen(post: Post) -> Seen:
    """The post as the planner sees it, with a hash instead of its text.

    A source that tells no score does not tell either whether a post was removed or edited.
    """
    return Seen(
        id=post.id,
        subreddit=post.subreddit,
        created=post.created_utc.timestamp(),
        score=post.score,
        comments=post.num_comments,
        state=None if post.score is None else (post.removed_by, post.edited_at),
        text=None if post.body is UNSET else hash(post.body),
    )


def text_state(removed_by: str | None, edited_at: datetime | None, author: str | None) -> tuple[object, ...]:
    """What tells whether a post's text and author may be kept. An account that was deleted has no name.

    Of a post that was taken away the author is not stored, although Reddit still tells it.
    """
    return removed_by, edited_at, removed_by is None and author is None


def envelope(
    post: Post,
    mode: ObservationMode,
    with_body: bool,
    observed_at: datetime,
    emitted_at: datetime,
    poll_id: str,
    *,
    post_sort: str = NEW,
    place: Place | None = None,
) -> Envelope:
    """An observation for the raw topic. Only a discovery and a changed body carry the body: refreshes stay small."""
    return Envelope(
        entity_type="reddit_submission",
        source="reddit",
        mode=mode,
        emitted_at=emitted_at,
        payload=post if with_body else replace(post, body=UNSET),
        metadata=Metadata(
            subreddit=post.subreddit,
            observed_at=observed_at,
            post_sort=post_sort,
            poll_id=poll_id,
            listing=place.listing if place else None,
            rank=place.rank if place else None,
        ),
    )


def seen_comment(found: FoundComment) -> Seen:
    """The comment as the planner of comments sees it."""
    comment = found.comment
    return Seen(comment.id, found.subreddit, comment.created_utc.timestamp(), score=comment.score, comments=None)


def comment_envelope(
    found: FoundComment, mode: ObservationMode, observed_at: datetime, emitted_at: datetime, poll_id: str
) -> CommentEnvelope:
    """An observation for the raw topic of comments."""
    return CommentEnvelope(
        entity_type="reddit_comment",
        source="reddit",
        mode=mode,
        emitted_at=emitted_at,
        payload=found.comment,
        metadata=Metadata(subreddit=found.subreddit, observed_at=observed_at, post_sort="comments", poll_id=poll_id),
    )
