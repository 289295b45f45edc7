"""The commands of docs/operations.md, "Step by step", run in their order on real servers."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify.run import verify
from tests.integration.test_path_positions import publish, wait_until_committed, wait_until_stored
from tests.integration.workers import WorkerProcess, eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def blocks() -> dict[str, str]:
    """The commands of each heading."""
    steps = DOCUMENT.read_text(encoding="utf-8").partition("\n## Step by step\n")[2]
    found = {}
    for step in re.split(r"^### ", steps, flags=re.MULTILINE)[1:]:
        heading, _, text = step.partition("\n")
        found[heading] = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    return found


class Installation:
    """An installation with one worker, as an operator has it."""

    def __init__(self, settings: Settings, directory: Path, make_database: Callable[..., str]) -> None:
        self.settings, self.directory, self.make_database = settings, directory, make_database
        self.posts: set[str] = set()
        self.worker = self._worker()

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self.settings, "worker-1", self.directory, SIGNALFLOW_SINK_MAX_SECONDS="0.2")

    async def start(self) -> None:
        self.worker.start()
        await self.worker.ready()

    async def publish(self, prefix: str) -> None:
        """New posts, which are stored."""
        self.posts |= await publish(self.settings, prefix, 20)
        await self.is_whole()

    async def is_whole(self) -> None:
        """Wait until all posts are stored, and `verify` is clean."""
        await wait_until_stored(self.settings, self.worker, self.posts)
        topic = TopicNames.of(self.settings).posts_enriched
        await wait_until_committed(self.settings, self.worker, topic, len(self.posts))

        async def clean() -> bool:
            return (await verify(self.settings, TopicNames.of(self.settings))).clean

        await eventually(clean, 30, self.worker.tail)

    def copy_of_database(self) -> str:
        """The URL of a copy. Nobody may use the database meanwhile."""
        return self.make_database(self.settings.database_url.get_secret_value().rpartition("/")[2])

    def replace_database(self, url: str) -> None:
        """The database is lost; another one takes its place."""
        assert self.worker.stop() == 0
        self.settings = self.settings.model_copy(update={"database_url": SecretStr(url)})
        self.worker = self._worker()

    async def run(self, commands: str) -> str:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SIGNALFLOW_KAFKA": self.settings.kafka,
            "SIGNALFLOW_DATABASE_URL": self.settings.database_url.get_secret_value(),
            "SIGNALFLOW_STATE_DIR": str(self.settings.state_dir),
            "SIGNALFLOW_APP_ID": self.settings.app_id,
            "SIGNALFLOW_TOPIC_PREFIX": self.settings.topic_prefix,
            "SIGNALFLOW_TOPIC_PARTITIONS": str(self.settings.topic_partitions),
        }
        shell: list[Any] = ["bash", "-euo", "pipefail", "-c", commands]
        done = await asyncio.to_thread(
            subprocess.run, shell, env=environment, cwd=self.directory, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    async def state_of(self, post: str) -> str:
        """What the worker keeps of a post; it may just be taking the post's partition over."""

        async def told() -> bool:
            try:
                self._state = await self.run(f"signalflow tables show post_state {post} --json")
            except AssertionError:
                return False
            return True

        await eventually(told, 30, self.worker.tail)
        return self._state


@pytest.fixture
async def installation(
    settings: Settings, tmp_path: Path, make_database: Callable[..., str]
) -> AsyncIterator[Installation]:
    await create_topics(settings)
    made = Installation(settings, tmp_path, make_database)
    await made.start()
    yield made
    made.worker.ensure_stopped()


async def lost_disk(here: Installation, commands: str) -> None:
    before = await here.state_of("first1")
    assert here.worker.stop() == 0
    await here.run(commands)
    await here.start()
    assert await here.state_of("first1") == before


async def promoted(here: Installation, commands: str) -> None:
    assert here.worker.stop() == 0
    standby = here.copy_of_database()
    await here.start()
    await here.publish("lacking")
    here.replace_database(standby)
    await here.start()
    await here.is_whole()
    assert "nothing is missing or wrong" in await here.run(commands)


async def restored(here: Installation, commands: str) -> None:
    await here.publish("second")
    here.replace_database(here.make_database())
    await here.run(commands)
    await here.start()
    await here.is_whole()


async def rebuilt(here: Installation, commands: str) -> None:
    here.replace_database(here.make_database())
    assert "/sign-in/link?token=" in await here.run(commands)
    await here.start()
    await here.is_whole()


async def partitions(here: Installation, commands: str) -> None:
    await here.run(commands)
    assert "24" in await here.run("SIGNALFLOW_TOPIC_PARTITIONS=24 signalflow topics list | grep posts.raw")


# The other steps change nothing that could be looked at.
LOOKED_AT: dict[str, Callable[[Installation, str], Awaitable[None]]] = {
    "A worker's disk is lost, or a table is to be rebuilt from its changelog": lost_disk,
    "The database is lost, and a standby takes over": promoted,
    "The database is lost, and there is a backup": restored,
    "The database is lost, and there is no backup": rebuilt,
    "More partitions, for more workers": partitions,
}


async def test_the_steps_do_what_the_document_says(installation: Installation) -> None:
    steps = blocks()
    assert steps.keys() > LOOKED_AT.keys()
    await installation.publish("first")
    for heading, commands in steps.items():
        assert commands, heading
        if heading in LOOKED_AT:
            await LOOKED_AT[heading](installation, commands)
        else:
            await installation.run(commands)
