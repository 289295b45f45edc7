"""`signalflow backfill` into a real Kafka: every line becomes one record with the post's id as key."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer import Typer
from typer.testing import CliRunner

from signalflow.cli import ingest
from signalflow.events import decode_envelope
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings, get_settings

REAL_POSTS = 42_283


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Typer:
    monkeypatch.setenv("SIGNALFLOW_KAFKA", settings.kafka)
    monkeypatch.setenv("SIGNALFLOW_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("SIGNALFLOW_APP_ID", settings.app_id)
    monkeypatch.setenv("SIGNALFLOW_TOPIC_PARTITIONS", str(settings.topic_partitions))
    get_settings.cache_clear()
    app = Typer()
    app.callback()(lambda: None)
    ingest.register(app)
    return app


async def records_of(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Key and value of all records that are in the raw topic now."""
    topic = TopicNames.of(settings).posts_raw
    consumer = AIOKafkaConsumer(**connection_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.topic_partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[tuple[bytes, bytes]] = []
        async with asyncio.timeout(60):
            while len(found) < sum(ends.values()):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [(record.key, record.value) for record in batch]
        return found
    finally:
        await consumer.stop()


def test_all_real_posts_are_in_the_topic_once(app: Typer, settings: Settings, shared_data: Path) -> None:
    result = CliRunner().invoke(app, ["ingest", "file", str(shared_data / "real_posts_2013.ndjson.gz"), "--json"])
    get_settings.cache_clear()
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["published"], summary["rejected"]) == (REAL_POSTS, 0)
    records = asyncio.run(records_of(settings))
    assert Counter(key for key, _ in records).most_common(1)[0][1] == 1
    assert len(records) == REAL_POSTS
    envelopes = [decode_envelope(value) for _, value in records]
    assert [envelope.payload.id.encode() for envelope in envelopes] == [key for key, _ in records]
    assert {(envelope.mode, envelope.source) for envelope in envelopes} == {("backfill", "file")}
    # The newest created_utc of the file, as `date -ud @1377010438` shows it.
    assert {envelope.metadata.observed_at.isoformat() for envelope in envelopes} == {"2013-08-20T14:53:58+00:00"}
