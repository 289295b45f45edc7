"""The stack that is measured: Kafka and PostgreSQL as `signalflow up` starts them, durable, in their own directory."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
from pydantic import SecretStr

from signalflow.kafka.admin import create_topics
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.storage.migrate import upgrade

PARTITIONS = 12
# The one setting that differs from `signalflow up`: the server records when each transaction committed.
MEASURED = {"track_commit_timestamp": "on"}


@dataclass(frozen=True)
class Stack:
    """Running servers, on which each measurement gets an installation of its own."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    directory: Path

    async def installation(self, name: str) -> Settings:
        """The settings of a new installation on these servers, with its topics and its schema, both empty."""
        unique = f"{name}-{uuid.uuid4().hex[:6]}"
        settings = Settings(
            kafka=self.kafka.bootstrap,
            database_url=SecretStr(await self.database(name)),
            state_dir=self.directory / unique,
            app_id=f"signalflow-{unique}",
            topic_prefix=f"{unique}-",
            topic_partitions=PARTITIONS,
        )
        await create_topics(settings)
        return settings

    async def database(self, name: str) -> str:
        """The URL of a new database with the current schema."""
        database = f"bench_{name}_{uuid.uuid4().hex[:6]}"
        connection = await asyncpg.connect(self.postgres.url("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {database}")
        finally:
            await connection.close()
        await upgrade(self.postgres.url(database))
        return self.postgres.url(database)

    def pids(self) -> dict[str, int]:
        """The process ids of the servers."""
        kafka = next(child.pid for child in psutil.Process().children() if child.name() == "java")
        assert self.postgres.pid is not None
        return {"kafka": kafka, "postgres": self.postgres.pid}


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    """Start the servers, and stop them at the end. The caller removes their data."""
    broker, controller, port = free_ports(3)
    kafka = EmbeddedKafka(directory / "kafka", [broker], [controller])
    postgres = EmbeddedPostgres(directory / "postgres", port, MEASURED)
    try:
        kafka.start()
        postgres.start()
        yield Stack(kafka, postgres, directory)
    finally:
        kafka.stop()
        postgres.stop()


class Commits(NamedTuple):
    """The rows and transactions of the history, by the commit timestamps of the database."""

    rows: int
    transactions: int
    rows_of_first: int
    seconds: float
    """From the first commit to the last."""

    @property
    def per_second(self) -> float:
        """Rows per second, without the rows of the first commit, which were written before the time began."""
        return (self.rows - self.rows_of_first) / self.seconds


_COMMITS = """
SELECT sum(rows)::int, count(*)::int, (array_agg(rows ORDER BY at))[1]::int,
    extract(epoch FROM max(at) - min(at))::float8
FROM (
    SELECT count(*) AS rows, pg_xact_commit_timestamp(xmin) AS at FROM post_metrics_history GROUP BY xmin
) AS transactions
"""


async def commits(settings: Settings) -> Commits:
    """The commits that filled the history of this installation."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        return Commits(*await connection.fetchrow(_COMMITS))
    finally:
        await connection.close()
