"""Turns a post of an answer into what the planner compares, and into the envelope that is published."""

from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from signalflow.domain.known import Seen
from signalflow.domain.words import ObservationMode
from signalflow.events import Envelope, Metadata, Post


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


def envelope(
    post: Post, mode: ObservationMode, with_body: bool, observed_at: datetime, emitted_at: datetime, poll_id: str
) -> Envelope:
    """An observation for the raw topic. Only a discovery and a changed body carry the body: refreshes stay small."""
    return Envelope(
        entity_type="reddit_submission",
        source="reddit",
        mode=mode,
        emitted_at=emitted_at,
        payload=post if with_body else replace(post, body=UNSET),
        metadata=Metadata(subreddit=post.subreddit, observed_at=observed_at, poll_id=poll_id),
    )
