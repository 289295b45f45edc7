"""`signalflow lag` and `signalflow tables show` on real servers."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration.test_path_positions import commit, publish, wait_until_committed, wait_until_stored
from tests.integration.workers import WorkerProcess
from tests.waiting import until


async def run(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "SIGNALFLOW_KAFKA": settings.kafka,
        "SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value(),
        "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
        "SIGNALFLOW_APP_ID": settings.app_id,
        "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }
    program = Path(sys.executable).with_name("signalflow")
    return await asyncio.to_thread(
        subprocess.run, [program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


async def lag_of(settings: Settings, topic: str) -> list[dict[str, Any]]:
    done = await run(settings, "lag", "--json")
    assert done.returncode == 0, done.stderr
    return [row for row in json.loads(done.stdout) if row["topic"] == topic]


async def test_the_lag_is_what_the_group_has_not_committed_also_while_no_worker_runs(
    settings: Settings, worker: WorkerProcess
) -> None:
    raw = TopicNames.of(settings).posts_raw
    await wait_until_stored(settings, worker, await publish(settings, "a", 30))
    await wait_until_committed(settings, worker, raw, 30)
    rows = await lag_of(settings, raw)
    assert (sum(row["end"] for row in rows), sum(row["lag"] for row in rows)) == (30, 0)
    assert worker.stop() == 0
    await publish(settings, "b", 20)
    rows = await lag_of(settings, raw)
    assert (sum(row["committed"] or 0 for row in rows), sum(row["lag"] for row in rows)) == (30, 20)
    shown = await run(settings, "lag")
    (line,) = [line for line in shown.stdout.splitlines() if raw in line]
    assert (line.split()[1], line.split()[-1]) == ("20", "0")


async def test_a_commit_beyond_the_end_of_the_log_is_no_lag_of_0(settings: Settings) -> None:
    raw = TopicNames.of(settings).posts_raw
    await create_topics(settings)
    await commit(settings, raw, 7)
    rows = await lag_of(settings, raw)
    assert {(row["lag"], row["beyond_end"]) for row in rows} == {(0, 7)}
    shown = await run(settings, "lag")
    (line,) = [line for line in shown.stdout.splitlines() if raw in line]
    assert line.split()[-1] == str(7 * settings.topic_partitions)


async def test_the_state_of_a_post_is_shown_by_the_worker_that_has_it(
    settings: Settings, worker: WorkerProcess
) -> None:
    await wait_until_stored(settings, worker, await publish(settings, "a", 3))

    async def answer() -> str | None:
        """The state as JSON. A worker that has just started is known from its first report on."""
        done = await run(settings, "tables", "show", "post_state", "a1", "--json")
        return done.stdout if done.returncode == 0 else None

    state = json.loads(await until(answer, worker.tail, 30))
    assert (state["id"], len(state["observations"])) == ("a1", 1)
    assert "post a1: created" in (await run(settings, "tables", "show", "post_state", "a1")).stdout
    unknown = await run(settings, "tables", "show", "post_state", "zzz")
    assert (unknown.returncode, unknown.stdout) == (1, "post_state has no state of post zzz\n")
    assert worker.stop() == 0
    nobody = await run(settings, "tables", "show", "post_state", "a1")
    assert (nobody.returncode, "worker" in nobody.stderr) == (3, True), nobody.stderr
