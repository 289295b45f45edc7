"""Backfill: a file of 42,283 posts is stored once, however often it is read, with stock VADER's sentiment."""

import gzip
import html
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, read_topic

POSTS = 42_283


def ingest_file(settings: Settings, path: Path) -> dict[str, object]:
    environment = os.environ | {"SIGNALFLOW_KAFKA": settings.kafka, "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
                                "SIGNALFLOW_APP_ID": settings.app_id,
                                "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions)}  # fmt: skip
    command = [Path(sys.executable).with_name("signalflow"), "ingest", "file", str(path), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    summary: dict[str, object] = json.loads(done.stdout)
    return summary


@pytest.mark.timeout(400)
async def test_all_real_posts_are_stored_once_with_stock_sentiment_and_loading_them_twice_changes_nothing(
    settings: Settings, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "real_posts_2013.ndjson.gz"
    await create_topics(settings)
    worker = WorkerProcess(settings, "w1", tmp_path)
    worker.start()
    try:
        await worker.ready()
        ingest_file(settings, path)

        async def stored() -> bool:
            return await count(settings, "post_nlp_features") >= POSTS

        await eventually(stored, 120, worker.tail)
        before = await fetch_all(settings, "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM posts p")
        rows = {
            row["id"]: row
            for row in await fetch_all(
                settings,
                "SELECT p.id, p.title, f.sentiment_score, f.sentiment_basis "
                "FROM posts p JOIN post_nlp_features f ON f.post_id = p.id",
            )
        }
        assert len(rows) == POSTS
        assert await count(settings, "post_metrics_history") == 0, "a final score is not a time series"

        stock, foreign = SentimentIntensityAnalyzer(), 0
        with gzip.open(path, "rt") as lines:
            for number, line in enumerate(lines):
                post = json.loads(line)
                assert post["id"] in rows
                if number % 10 == 0:  # stock VADER needs 40 us a title
                    # The data set has its texts escaped for HTML, as Reddit's API gave them then.
                    title = html.unescape(post["title"])
                    expected = stock.polarity_scores(title.replace("’", "'"))["compound"]
                    if rows[post["id"]]["sentiment_basis"] == "not_english":
                        # A few short titles of no English word. None of them may lose a score that says something.
                        foreign += 1
                        assert (expected, rows[post["id"]]["sentiment_score"]) == (0, None), post["id"]
                        continue
                    basis = "folded_apostrophes" if "’" in title else "as_written"
                    assert rows[post["id"]]["sentiment_basis"] == basis, post["id"]
                    assert rows[post["id"]]["sentiment_score"] == pytest.approx(expected), post["id"]
        assert foreign <= 2

        ingest_file(settings, path)
        enriched = TopicNames.of(settings).posts_enriched

        async def done_again() -> bool:
            return await worker.metric("signalflow_records_total", 'agent="sink"') >= 2 * POSTS

        await eventually(done_again, 120, worker.tail)
        assert await count(settings, "posts") == POSTS
        assert await fetch_all(settings, "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM posts p") == before
        assert {json.loads(r.value)["mode"] for r in (await read_topic(settings, enriched))[:100]} == {"backfill"}
        assert await read_topic(settings, TopicNames.of(settings).posts_dlq) == []
    finally:
        worker.ensure_stopped()
