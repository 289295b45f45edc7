"""What a repair sends again, and what it cannot."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify import repair
from signalflow.verify.report import Missing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings()
TOPICS = TopicNames.of(SETTINGS)
ENRICHED = SimpleNamespace(key=b"a", value=b'{"id": "a", "observed_at": "2026-01-01T12:00:00Z"}', headers=())


def comment(id_: str, second: int) -> SimpleNamespace:
    moment = (NOON + timedelta(seconds=second)).isoformat()
    value = {
        "entity_type": "reddit_comment", "source": "test", "mode": "new", "emitted_at": moment,
        "metadata": {"subreddit": "python", "observed_at": moment},
        "payload": {"id": id_, "post_id": "p", "author": None, "body": None, "created_utc": moment, "score": None},
    }  # fmt: skip
    return SimpleNamespace(
        key=b"p", value=json.dumps(value).encode(), headers=(), timestamp=(NOON.timestamp() + 60) * 1000
    )


COMMENTS = [comment("c", 0), comment("d", 0), SimpleNamespace(key=b"p", value=b"{", headers=()), comment("c", 9)]
RECORDS = {TOPICS.posts_enriched: [ENRICHED], TOPICS.comments_raw: COMMENTS}


class Log:
    """The enriched topic has one record, the topic of comments has some, and the other topics have none."""

    def __init__(self, settings: Settings, group: str) -> None: ...

    async def extent(self, topic: str) -> str:
        return topic

    async def records(self, topic: str, extent: str) -> AsyncIterator[list[Any]]:
        yield RECORDS.get(topic, [])


async def test_what_no_topic_has_any_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "TopicLog", Log)
    gone = {("b", NOON), ("a", NOON + timedelta(seconds=1))}
    missing = Missing(observations={("a", NOON)} | gone, without_letter={("raw", 2, 7)})
    planned = await repair.plan(SETTINGS, TOPICS, missing)
    assert planned.in_no_topic == [
        "a at 2026-01-01T12:00:01+00:00",
        "b at 2026-01-01T12:00:00+00:00",
        "the dead letter of raw partition 2 offset 7",
    ]
    assert planned.counts == {TOPICS.posts_enriched: 1}


async def test_every_valid_record_of_a_missing_comment_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "TopicLog", Log)
    planned = await repair.plan(SETTINGS, TOPICS, Missing(comments={"c"}))
    assert planned.records == {TOPICS.comments_raw: [COMMENTS[0], COMMENTS[3]]}
