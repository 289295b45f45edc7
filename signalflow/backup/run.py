"""Makes a backup of a database, and restores one."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

from signalflow.backup.archive import CHUNK, Archive, Contents, Manifest, Progress, Topic, Writer, new_archive
from signalflow.backup.programs import Name, Program, demands_tls, find, target
from signalflow.errors import Fatal
from signalflow.storage import backups
from signalflow.storage.schema import status_of

_ERROR_LENGTH = 2000


async def back_up(database_url: str, path: Path, progress: Progress, now: datetime) -> Manifest:
    """Write a backup of a database to a new file. Writers go on meanwhile: the backup is one snapshot.

    Raises Fatal when it cannot be made, Retryable when the database is away.
    """
    async with backups.session(database_url, "signalflow backup") as asked:
        server = await backups.server_of(asked)
        program = find("pg_dump", server.version, tls=server.tls or demands_tls(database_url))
        async with asked.transaction(isolation="repeatable_read", readonly=True):
            facts = await backups.facts_of(asked)
            snapshot = await asked.fetchval("SELECT pg_export_snapshot()")
            with new_archive(path) as archive:
                await _dump(program, database_url, snapshot, archive, progress)
                contents = Contents(
                    made_at=now,
                    revision=facts.revision,
                    mode=facts.mode,
                    postgres=server.version,
                    timescaledb=facts.timescaledb,
                    rows=await backups.row_counts(asked),
                    topics=[Topic(id=id, name=name, positions=dict(at)) for (id, name), at in facts.positions.items()],
                )
                return archive.finish(contents, program.major)


async def restore(database_url: str, path: Path, progress: Progress) -> Manifest:
    """Restore a backup into an empty database, and compare the number of rows of each table.

    Raises Fatal when the file or the database does not fit, or a table lacks rows; Retryable when the database is away.
    """
    archive = Archive(path)
    manifest = archive.manifest
    status_of(manifest.revision, None)
    await asyncio.to_thread(archive.check, progress)
    async with backups.session(database_url, "signalflow restore") as asked:
        await backups.refuse_unless_empty(asked)
        server = await backups.server_of(asked)
        if server.version < manifest.postgres:
            raise Fatal(
                f"the backup is of PostgreSQL {manifest.postgres}, and this server has {server.version}: restore into "
                f"PostgreSQL {manifest.postgres} or newer"
            )
        tls = server.tls or demands_tls(database_url)
        program = find("pg_restore", max(server.version, manifest.pg_dump), tls=tls)
        if manifest.timescaledb is None:
            with _hint_of_version(program, server.version):
                await _load(program, database_url, archive, progress, "--single-transaction")
        else:
            await backups.begin_timescaledb(asked, manifest.timescaledb)
            try:
                with _hint_of_version(program, server.version):
                    await _load(program, database_url, archive, progress)
            finally:
                await backups.end_timescaledb(asked)
        found = await backups.row_counts(asked)
        await backups.analyze(asked)
    lacking = [
        f"{name} has {found.get(name, 0)} of {rows} rows"
        for name, rows in manifest.rows.items()
        if found.get(name) != rows
    ]
    if lacking:
        raise Fatal(f"not all was restored, do not use this database: {'; '.join(lacking)}")
    return manifest


async def _dump(program: Program, database_url: str, snapshot: str, archive: Writer, progress: Progress) -> None:
    # Owners and privileges name roles, which another server does not have.
    arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
    async with _running("pg_dump", program, database_url, arguments) as process:
        assert process.stdout is not None
        while some := await process.stdout.read(CHUNK):
            archive.write(some)
            progress(len(some))


async def _load(program: Program, database_url: str, archive: Archive, progress: Progress, *arguments: str) -> None:
    given = ("--no-owner", "--no-privileges", "--exit-on-error", *arguments)
    async with _running("pg_restore", program, database_url, given) as process:
        assert process.stdin is not None
        try:
            for some in archive.dump(progress):
                process.stdin.write(some)
                await process.stdin.drain()
            process.stdin.close()
            await process.stdin.wait_closed()
        except (BrokenPipeError, ConnectionResetError):
            pass  # It has ended, and its status and its words say why.


@contextmanager
def _hint_of_version(program: Program, server: int) -> Iterator[None]:
    """Say in the error that the program is newer than the server, whose settings it may not know."""
    try:
        yield
    except Fatal as error:
        if program.major == server:
            raise
        raise Fatal(
            f"{error}; {program.path} is newer than the server: install the programs of PostgreSQL {server} "
            f"(postgresql-client-{server}), back up and restore with them"
        ) from error


@asynccontextmanager
async def _running(name: Name, program: Program, database_url: str, arguments: Sequence[str]) -> AsyncIterator[Process]:
    """The process of a program, which is waited for. Raises Fatal with its words when it fails."""
    reached = target(database_url)
    process = await asyncio.create_subprocess_exec(
        str(program.path),
        f"--dbname={reached.address}",
        "--no-password",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=reached.environment,
    )
    assert process.stderr is not None
    words = asyncio.create_task(process.stderr.read())
    try:
        yield process
        status = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    finally:
        said = (await words).decode(errors="replace")
    if status != 0:
        raise Fatal(f"{name} failed: {said[-_ERROR_LENGTH:].strip()}")
