"""Records for tests of the live stream."""

from datetime import UTC, datetime, timedelta

from signalflow.events import Enriched, Source, TextFeatures, encode
from web.live.records import LiveRecord, live_record

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


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


def record(partition: int, offset: int, post_id: str = "abc", seconds: float = 0, **fields: object) -> LiveRecord:
    """The record of an observation, with its partition and offset."""
    made = live_record(partition, offset, encode(enriched(post_id, seconds, **fields)))
    assert made is not None
    return made
