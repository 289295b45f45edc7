"""Archives on real Kafka and PostgreSQL: old posts and comments get rows, and what was observed later stays."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.workers import (
    WorkerProcess,
    committed,
    count,
    eventually,
    fetch_all,
    observation,
    produce,
    read_topic,
)

NOW = datetime.now(UTC).replace(microsecond=0)
TWO_YEARS_AGO = NOW - timedelta(days=730)
YESTERDAY = NOW - timedelta(days=1)


def command(settings: Settings, *arguments: object) -> tuple[list[str], dict[str, str]]:
    """The `signalflow` command on this installation, and its environment."""
    environment = {
        "SIGNALFLOW_KAFKA": settings.kafka,
        "SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value(),
        "SIGNALFLOW_STATE_DIR": str(settings.state_dir),
        "SIGNALFLOW_APP_ID": settings.app_id,
        "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
        "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }
    program = Path(sys.executable).with_name("signalflow")
    return [str(program), *map(str, arguments)], os.environ | environment


async def run(settings: Settings, *arguments: object) -> dict[str, Any]:
    """What a command that succeeds prints with --json."""
    words, environment = command(settings, *arguments, "--json")
    done = await asyncio.to_thread(
        subprocess.run, words, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


async def all_is_read(settings: Settings) -> bool:
    """Whether the group has committed everything in all topics."""
    names = TopicNames.of(settings)
    for topic in (names.posts_raw, names.comments_raw, names.posts_enriched, names.posts_dlq):
        if sum((await committed(settings, topic)).values()) < len(await read_topic(settings, topic)):
            return False
    return True


async def dump(settings: Settings, table: str, *left_out: str) -> list[dict[str, Any]]:
    """All rows of a table, without some columns."""
    rows = [dict(row) for row in await fetch_all(settings, f"SELECT * FROM {table} ORDER BY 1, 2")]
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def post_line(id_: str, created: datetime, **changes: Any) -> dict[str, Any]:
    fields = {"id": id_, "subreddit": "Python", "title": "As the archive has it", "created_utc": created.timestamp(),
              "score": 5, "num_comments": 1, "over_18": False, "is_self": True, "selftext": "old"}  # fmt: skip
    return fields | changes


def comment_line(id_: str, created: datetime, **changes: Any) -> dict[str, Any]:
    fields = {"id": id_, "link_id": "t3_old1", "parent_id": "t3_old1", "subreddit": "Python", "body": "As it was",
              "created_utc": created.timestamp(), "score": 5, "author": "ann"}  # fmt: skip
    return fields | changes


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.timeout(180)
async def test_an_archive_fills_in_what_is_missing_and_never_replaces_a_newer_observation(
    settings: Settings, topics: TopicNames, worker: WorkerProcess, tmp_path: Path
) -> None:
    seen = [
        observation(
            "live1", NOW - timedelta(minutes=ago), created_at=YESTERDAY, score=score, title="As it is", mode=mode
        )
        for ago, score, mode in ((30, 100, "new"), (10, 900, "refresh"))
    ]
    await produce(settings, [replace(each, payload=replace(each.payload, body="live")) for each in seen])
    await produce_comments(
        settings, [envelope(comment("livec1", post_id="live1", created_utc=YESTERDAY, score=77), NOW)]
    )
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    tables = {"posts": ("first_seen_at",), "post_nlp_features": (), "post_metrics_history": (), "comments": ()}
    before = {table: await dump(settings, table, "first_seen_at") for table in tables}
    assert [len(before[table]) for table in tables] == [1, 1, 2, 1]

    path = write_lines(
        tmp_path / "archive.ndjson",
        [
            post_line("old1", TWO_YEARS_AGO, title="This is great"),
            post_line("old2", TWO_YEARS_AGO, score=None),
            comment_line("oldc1", TWO_YEARS_AGO),
            comment_line("livec1", YESTERDAY, link_id="t3_live1", score=1),
            # The newest of the file: everything in it counts as seen yesterday.
            post_line("live1", YESTERDAY),
        ],
    )
    assert (await run(settings, "backfill", path))["published"] == 5
    await eventually(lambda: all_is_read(settings), 60, worker.tail)

    posts = {row["id"]: row for row in await dump(settings, "posts", "first_seen_at")}
    assert posts.pop("live1") == before["posts"][0]
    assert {id_: (row["current_score"], row["body"], row["created_utc"]) for id_, row in posts.items()} == {
        "old1": (5, "old", TWO_YEARS_AGO),
        "old2": (None, "old", TWO_YEARS_AGO),
    }
    comments = {row["id"]: row for row in await dump(settings, "comments", "first_seen_at")}
    assert comments.pop("livec1") == before["comments"][0]
    assert (comments["oldc1"]["score"], comments["oldc1"]["observed_at"]) == (5, YESTERDAY)
    assert await dump(settings, "post_metrics_history") == before["post_metrics_history"], "a file is no time series"
    features = {row["post_id"]: row["sentiment_label"] for row in await dump(settings, "post_nlp_features")}
    assert features == {"live1": "neutral", "old1": "positive", "old2": "neutral"}
    assert await count(settings, "dlq_events") == 0
    assert await read_topic(settings, topics.posts_dlq) == []
    assert (await run(settings, "verify"))["clean"]


@pytest.mark.timeout(180)
async def test_a_backfill_that_is_killed_goes_on_and_leaves_no_line_out(
    settings: Settings, topics: TopicNames, tmp_path: Path
) -> None:
    lines = 6_000
    path = write_lines(tmp_path / "archive.ndjson", [post_line(f"k{n}", TWO_YEARS_AGO) for n in range(lines)])
    bookmarks = settings.state_dir / "backfill"
    for number in (signal.SIGKILL, signal.SIGINT):
        words, environment = command(settings, "backfill", path, "--rate", "250")  # seconds between two bookmarks
        process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220
        kept = set(bookmarks.glob("*.json")) and next(bookmarks.glob("*.json")).read_bytes()

        def moved(kept: object = kept) -> bool:
            found = list(bookmarks.glob("*.json"))
            return bool(found) and found[0].read_bytes() != kept

        await eventually(moved, 30)
        process.send_signal(number)
        _, said = await asyncio.to_thread(process.communicate)
        assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert "goes on where it stopped" in said
    (file,) = (await run(settings, "backfill", path, "--rate", "0"))["files"]
    assert file["lines_before"] >= 500
    assert (file["lines"], file["published"]) == (lines, lines)
    records = await read_topic(settings, topics.posts_raw)
    assert {record.key for record in records} == {f"k{n}".encode() for n in range(lines)}
    assert len(records) < lines + 3_000, "at most what was under way is sent twice"
