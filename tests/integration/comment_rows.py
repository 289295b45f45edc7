"""Comments for tests: observations to store, and their records."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer

from signalflow.events import Comment, CommentEnvelope, EnrichedComment, Metadata, TextSentiment, encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration.storage_rows import CREATED, NOON

# What the API tells beside what a feed tells.
TOLD_BY_THE_API: dict[str, Any] = {
    "score": 1,
    "parent_id": "t3_abc",
    "controversiality": 0,
    "is_submitter": False,
    "stickied": False,
}


def comment(id_: str = "c1", **changes: Any) -> Comment:
    """A comment as the API tells it."""
    fields: dict[str, Any] = {
        "id": id_,
        "post_id": "abc",
        "author": "someone",
        "body": "I love it",
        "created_utc": CREATED,
        "permalink": f"/r/python/comments/abc/_/{id_}/",
        **TOLD_BY_THE_API,
    }
    return Comment(**fields | changes)


def fed(id_: str = "c1", **changes: Any) -> Comment:
    """A comment as a feed tells it."""
    return comment(id_, **dict.fromkeys(TOLD_BY_THE_API), **changes)


def seen(comment: Comment, seconds: float = 0, subreddit: str = "python") -> EnrichedComment:
    """An observation of a comment `seconds` after NOON; its sentiment depends on nothing but the text."""
    at = NOON + timedelta(seconds=seconds)
    sentiment = None
    if comment.body is not None:
        score = (len(comment.body) % 5) / 4 - 0.5
        label = "positive" if score > 0 else "negative" if score < 0 else "neutral"
        sentiment = TextSentiment(score=score, label=label, basis="as_written")  # type: ignore[arg-type]
    return EnrichedComment(comment, subreddit, at, at, sentiment, "new")


def envelope(comment: Comment, observed_at: datetime, subreddit: str = "python") -> CommentEnvelope:
    """The envelope of one observation."""
    return CommentEnvelope(
        entity_type="reddit_comment",
        source="test",
        mode="new",
        emitted_at=observed_at,
        payload=comment,
        metadata=Metadata(subreddit=subreddit, observed_at=observed_at),
    )


async def produce_comments(settings: Settings, envelopes: Iterable[CommentEnvelope]) -> None:
    """Publish envelopes and wait until the brokers have them."""
    topic = TopicNames.of(settings).comments_raw
    async with AIOKafkaProducer(**connection_options(settings), acks="all", linger_ms=5) as producer:
        for each in envelopes:
            await producer.send(topic, encode(each), key=each.payload.post_id.encode(), headers=each.headers())
        await producer.flush()
