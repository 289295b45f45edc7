"""Records for tests of the live stream."""

from datetime import UTC, datetime, timedelta
from typing import Any

from signalflow.events import Comment, CommentEnvelope, Enriched, Metadata, Source, TextFeatures, encode
from signalflow.signal_events import Signal
from web.live.comments import CommentRecord, comment_record
from web.live.records import PostRecord, live_record
from web.live.signals import SignalRecord, signal_record

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NOT_IN_A_FEED: dict[str, Any] = dict.fromkeys(
    ("score", "parent_id", "controversiality", "is_submitter", "distinguished", "stickied", "edited_at")
)


def enriched(post_id: str = "abc", seconds: float = 0, **fields: object) -> Enriched:
    """An observation made `seconds` after EPOCH."""
    observed = EPOCH + timedelta(seconds=seconds)
    values: dict[str, object] = {
        "id": post_id,
        "subreddit": "python",
        "author": "someone",
        "title": "A post about something",
        "url": None,
        "permalink": f"/r/python/comments/{post_id}/",
        "flair": None,
        "over_18": False,
        "created_utc": EPOCH,
        "first_seen_at": EPOCH,
        "observed_at": observed,
        "emitted_at": observed,
        "current_score": 1,
        "current_comments": 0,
        "current_ratio": None,
        "score_velocity": None,
        "comment_velocity": None,
        "trending_score": 0.0,
        "is_trending": False,
        "nlp": TextFeatures(sentiment_score=0.0, sentiment_label="neutral", keywords=[]),
        "removed_by": None,
        "late": False,
        "mode": "new",
        "source": Source(topic="reddit.posts.raw", partition=0, offset=0),
    }
    return Enriched(**(values | fields))  # type: ignore[arg-type]


def record(partition: int, offset: int, post_id: str = "abc", seconds: float = 0, **fields: object) -> PostRecord:
    """The record of an observation, with its partition and offset."""
    made = live_record(partition, offset, encode(enriched(post_id, seconds, **fields)))
    assert made is not None
    return made


def comment_envelope(
    seconds: float = 0, mode: str = "new", subreddit: str = "Python", **fields: Any
) -> CommentEnvelope:
    """An observation of a comment made `seconds` after EPOCH, as the API tells it."""
    observed = EPOCH + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "id": "c1",
        "post_id": "abc",
        "author": "someone",
        "body": "A text about rockets",
        "created_utc": EPOCH,
        "score": 1,
        "parent_id": "t3_abc",
        "controversiality": 0,
        "permalink": "/r/python/comments/abc/_/c1/",
        "is_submitter": False,
        "stickied": False,
    }
    return CommentEnvelope(
        entity_type="reddit_comment",
        source="test",
        mode=mode,  # type: ignore[arg-type]
        emitted_at=observed,
        payload=Comment(**(values | fields)),
        metadata=Metadata(subreddit=subreddit, observed_at=observed),
    )


def comment_record_of(offset: int = 0, seconds: float = 0, **fields: Any) -> CommentRecord:
    """The record of an observation of a comment, with its offset."""
    made = comment_record(0, offset, encode(comment_envelope(seconds, **fields)))
    assert made is not None
    return made


def signal(seconds: float = 0, **fields: Any) -> Signal:
    """A signal that an observation changed `seconds` after EPOCH; the input's offset is 0."""
    changed = EPOCH + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "id": "unusual_here-python-20260101T000000Z",
        "kind": "unusual_here",
        "rule_version": 1,
        "subject_kind": "subreddit",
        "subject": "python",
        "subreddit": "Python",
        "started_at": EPOCH,
        "peak_at": changed,
        "ended_at": None,
        "changed_at": changed,
        "strength": 5.27,
        "observed": 12.0,
        "expected": 3.0,
        "post_ids": ["abc"],
        "inputs": {"mean": 3.0, "variance": None},
        "source": Source(topic="reddit.signals.inputs", partition=0, offset=0),
        "emitted_at": changed,
    }
    return Signal(**values | fields)


def signal_record_of(offset: int, seconds: float = 0, **fields: Any) -> SignalRecord:
    """The record of a signal in partition 0, made from the input of the same offset."""
    made = signal(seconds, **{"source": Source(topic="reddit.signals.inputs", partition=0, offset=offset)} | fields)
    return signal_record(0, offset, encode(made))
