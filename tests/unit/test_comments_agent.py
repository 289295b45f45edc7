"""The comments' handler: sentiment of the text, bad records set aside, positions advanced."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from agents import comments
from agents.comments import CommentsHandler, newest_is_stored
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.features import sentiment_of, text_features
from signalflow.enrichment import MOST_SCORED_CHARACTERS, enriched_comment
from signalflow.errors import Invalid
from signalflow.events import Comment, CommentEnvelope, EnrichedComment, Metadata, encode
from signalflow.kafka.producer import Outgoing
from signalflow.metrics import COMMENTS_WRITTEN, REGISTRY
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings
from signalflow.storage.paced_writer import Written
from signalflow.storage.positions import Advances, Progress
from signalflow.storage.writer import Rejected
from signalflow.streams.batch_loop import Batch, Ownership
from tests.unit.streams.fakes import FakeApp, FakeEvent, FakeMessage, Record

APPENDED = datetime(2026, 1, 1, 12, tzinfo=UTC)
AHEAD = timedelta(minutes=10)


def comment(id_: str = "c1", **changes: Any) -> Comment:
    fields: dict[str, Any] = {
        "id": id_, "post_id": "abc", "author": "ann", "body": "I love it", "created_utc": APPENDED, "score": 1,
    }  # fmt: skip
    return Comment(**fields | changes)


def value(payload: Comment, observed_at: datetime = APPENDED) -> bytes:
    return encode(
        CommentEnvelope(
            entity_type="reddit_comment",
            source="reddit",
            mode="new",
            emitted_at=observed_at,
            payload=payload,
            metadata=Metadata(subreddit="Python", observed_at=observed_at),
        )
    )


def record(payload: Comment, observed_at: datetime = APPENDED, key: bytes | None = b"abc", offset: int = 0) -> Record:
    milliseconds = int(APPENDED.timestamp() * 1000)
    return Record(offset, topic="raw", key=key, value=value(payload, observed_at), timestamp=milliseconds)


def row(payload: Comment, fold: bool = True) -> EnrichedComment:
    return enriched_comment(record(payload), AHEAD, fold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "label", "basis"),
    [
        ("I love it", "positive", "as_written"),
        ("This isn\u2019t good", "negative", "folded_apostrophes"),
        ("The table has four legs", "neutral", "as_written"),
        ("\u3053\u308c\u306f\u3068\u3066\u3082\u826f\u3044\u3067\u3059", None, "not_english"),
    ],
)
def test_a_comment_has_the_sentiment_of_its_text(body: str, label: str | None, basis: str) -> None:
    found = row(comment(body=body))
    assert found.sentiment is not None
    assert (found.sentiment.label, found.sentiment.basis) == (label, basis)
    assert (found.sentiment.score is None) == (label is None)
    assert (found.subreddit, found.id, found.observed_at) == ("Python", "c1", APPENDED)


def test_an_apostrophe_is_read_as_written_where_the_setting_says_so() -> None:
    sentiment = row(comment(body="This isn\u2019t good"), fold=False).sentiment
    assert sentiment is not None
    assert (sentiment.label, sentiment.basis) == ("positive", "as_written")


def test_a_comment_without_a_text_has_no_sentiment() -> None:
    assert row(comment(body=None)).sentiment is None


def test_what_lies_beyond_the_longest_comment_of_reddit_is_not_scored() -> None:
    plain = "the table has legs ".ljust(MOST_SCORED_CHARACTERS)
    for body, label in ((plain[:-5] + " love", "positive"), (plain + " love", "neutral")):
        sentiment = row(comment(body=body)).sentiment
        assert sentiment is not None
        assert sentiment.label == label


@pytest.mark.parametrize(
    ("changes", "observed_at", "key", "field"),
    [
        ({}, APPENDED, b"c1", "key"),
        ({}, APPENDED, None, "key"),
        ({}, APPENDED + AHEAD + timedelta(seconds=1), b"abc", "metadata.observed_at"),
        ({"created_utc": APPENDED + timedelta(days=1, seconds=1)}, APPENDED, b"abc", "payload.created_utc"),
        ({"created_utc": datetime(1969, 1, 1, tzinfo=UTC)}, APPENDED, b"abc", "payload.created_utc"),
    ],
)
def test_a_wrong_key_or_an_absurd_time_is_refused(
    changes: dict[str, Any], observed_at: datetime, key: bytes | None, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        enriched_comment(record(comment(**changes), observed_at, key), AHEAD, True)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_times_at_their_bounds_are_taken() -> None:
    late = record(comment(created_utc=APPENDED + AHEAD + timedelta(days=1)), APPENDED + AHEAD)
    assert enriched_comment(late, AHEAD, True).observed_at == APPENDED + AHEAD  # type: ignore[arg-type]


class Dlq:
    def __init__(self) -> None:
        self.letters: list[Outgoing] = []

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
        self.letters += [sent for records in by_partition.values() for sent in records]
        return {}


class Database:
    """Stands for the writer, which refuses the comment `bad`; and for positions that are advanced without rows."""

    def __init__(self, handler: CommentsHandler, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[str] = []
        self.rest: list[Advances] = []
        monkeypatch.setattr(handler, "writer", self)
        monkeypatch.setattr(comments, "write_comments", self.write_comments)

    async def write(
        self, rows: Sequence[EnrichedComment], records: Sequence[Record], progress: Progress | None
    ) -> Written:
        self.rows += [each.id for each in rows]
        bad = [index for index, each in enumerate(rows) if each.id == "bad"]
        if progress:
            progress.stored(progress.advances([each for n, each in enumerate(records) if n not in bad]))
        return Written(len(rows), [Rejected(index, Invalid("out of range")) for index in bad])

    async def write_comments(self, pool: Any, rows: Sequence[EnrichedComment], advances: Advances) -> None:
        assert (pool, rows) == ("the pool", [])
        self.rest.append(advances)


def handler_of(dlq: Dlq) -> CommentsHandler:
    settings = Settings()
    stored = StoredTopic(None, None, "raw", newest_is_stored(settings), None)  # type: ignore[arg-type]
    return CommentsHandler(settings, "the pool", DeadLetters(settings, dlq, "w1"), stored)  # type: ignore[arg-type]


async def test_good_comments_are_stored_and_bad_ones_are_set_aside_each_with_its_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dlq = Dlq()
    handler = handler_of(dlq)
    database = Database(handler, monkeypatch)
    timed = {"kind": "comments"}
    before = COMMENTS_WRITTEN._value.get()
    timed_before = REGISTRY.get_sample_value("signalflow_end_to_end_seconds_count", timed) or 0.0
    app = FakeApp()
    app.consumer.topic_ids["raw"] = UUID(int=7)
    records = [record(comment("c1")), record(comment("bad"), offset=1), record(comment("c2"), key=b"x", offset=2)]
    batch = Batch([FakeEvent(FakeMessage(records))])
    await handler.commit(await handler.prepare(batch), Ownership(app, 1))
    assert database.rows == ["c1", "bad"]
    headers = [dict(letter.headers) for letter in dlq.letters]
    assert [(each["dlq_offset"], each["dlq_stage"]) for each in headers] == [(b"2", b"validate"), (b"1", b"write")]
    assert COMMENTS_WRITTEN._value.get() == before + 1
    assert REGISTRY.get_sample_value("signalflow_end_to_end_seconds_count", timed) == timed_before + 2
    (rest,) = database.rest
    assert [(each.partition, each.next_offset) for each in rest.of_partitions] == [(0, 3)]


async def test_the_newest_record_that_is_a_comment_tells_whether_the_table_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def is_stored(pool: Any, given: EnrichedComment) -> bool:
        asked.append(given.id)
        return given.id == "c2"

    monkeypatch.setattr(comments, "comment_is_stored", is_stored)
    ask = newest_is_stored(Settings())
    c1, c2, wrong = record(comment("c1")), record(comment("c2")), record(comment("c3"), key=b"x")
    assert await ask("the pool", [c1, c2, wrong])  # type: ignore[list-item, arg-type]
    assert not await ask("the pool", [c2, c1])  # type: ignore[list-item, arg-type]
    assert not await ask("the pool", [wrong])  # type: ignore[list-item, arg-type]
    assert asked == ["c2", "c1"]


def test_a_sentiment_is_that_of_a_title_with_the_same_words() -> None:
    for text in ("I love it", "This isn\u2019t good", "Das ist nicht gut und auch nicht sehr sch\u00f6n"):
        features = text_features(text)
        assert sentiment_of(text) == (features.sentiment_score, features.sentiment_label, features.sentiment_basis)
