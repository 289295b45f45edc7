"""`signalflow up`, `down` and `status`: the local stack in one command."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import name_unknown_settings
from signalflow.cli.options import JsonFlag

if TYPE_CHECKING:
    from signalflow.local.parts import Step
    from signalflow.local.stack import Stack
    from signalflow.local.state import ProcessStatus, StackState, StateDir
    from signalflow.storage.workers import WorkerRow

# The first start on a machine downloads Kafka.
_DETACHED_START_SECONDS = 300.0
_DOWN_SECONDS = 20.0
_POLL_SECONDS = 0.2
# `status` does not wait long for a database that does not answer.
_STATUS_SECONDS = 3.0
# Scores grow as on Reddit, since what is usual was learnt from such. Planted stories around the first start have
# something to show at once.
_DEMO_GROWTH = 1.0
# For the process that keeps running after --detach: whoever reads a link in its log could sign in. The process that
# waits for it prints a link itself.
_WITHOUT_LINK = "--without-link"


Source = Literal["api", "feeds", "simulator"]
StateDirOption = Annotated[
    Path | None, typer.Option("--state-dir", help="Where the stack keeps its data.  [default: .signalflow]")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the stack is up, and leave it running.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Workers to start (1-64).")] = 1,
    brokers: Annotated[int, typer.Option(help="Kafka brokers: 1, or 3 with three copies of every record.")] = 1,
    port_base: Annotated[
        int,
        typer.Option(help="First port: API +0, simulator +1, PostgreSQL +2, Kafka +3 to +8, workers from +10."),
    ] = 9400,
    state_dir: StateDirOption = None,
    activity: Annotated[float, typer.Option(min=0, max=300, help="Simulator: multiplies arrivals of posts.")] = 1.0,
    growth: Annotated[
        float, typer.Option(min=0.01, max=10_000, help="Simulator: speeds up scores (as on Reddit: 1).")
    ] = _DEMO_GROWTH,
    seed: Annotated[int | None, typer.Option(help="Simulator: equal seeds give equal posts.")] = None,
    kafka: Annotated[str | None, typer.Option(help="Use this Kafka, host:port[,host:port], and start none.")] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="Use this PostgreSQL, and start none. A password belongs in SIGNALFLOW_DATABASE_URL."),
    ] = None,
    reddit_url: Annotated[
        str | None, typer.Option(help="Use this stand-in for Reddit, and start no simulator.")
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option(
            help="Where posts come from; Reddit's API needs a client id, its feeds need --contact.  [default: the API "
            "if there is a client id, otherwise the simulator]"
        ),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="Whom Reddit may write to about requests for feeds, such as a mail address.")
    ] = None,
    without_link: Annotated[
        bool, typer.Option(_WITHOUT_LINK, hidden=True, help="Make no link that signs a browser in.")
    ] = False,
) -> None:
    """Start Kafka, PostgreSQL, the simulator of Reddit, workers and the API on this machine; Ctrl-C stops them.

    With SIGNALFLOW_REDDIT_CLIENT_ID and SIGNALFLOW_REDDIT_CLIENT_SECRET set, or with --source feeds --contact
    you@example.org, Reddit itself is polled, and there is no simulator.
    Exit status: 0 stopped as asked, 1 the stack did not start (the message says why), 2 wrong usage, 3 a given
    Kafka or database did not answer.
    """
    from signalflow.errors import Fatal
    from signalflow.local.stack import Stack, StackOptions
    from signalflow.local.state import StateDir
    from signalflow.settings import Settings

    if brokers not in (1, 3):
        raise typer.BadParameter("must be 1 or 3", param_hint="--brokers")
    given = {
        "kafka": kafka,
        "database_url": database_url,
        "reddit_base_url": reddit_url,
        "reddit_source": source,
        "reddit_contact": contact,
    }
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    if contact is not None and settings.reddit_source != "feeds":
        raise typer.BadParameter("only feeds need a contact: give --source feeds too", param_hint="--contact")
    try:
        options = StackOptions(
            state_dir=(state_dir or settings.state_dir).resolve(),
            port_base=port_base,
            workers=workers,
            brokers=3 if brokers == 3 else 1,
            activity=activity,
            growth=growth,
            seed=seed,
        )
    except Fatal as error:
        raise typer.BadParameter(str(error)) from error
    directory = StateDir(options.state_dir)
    directory.lock()
    if detach:
        directory.unlock()  # the process that keeps running takes the lock
        _start_detached(directory, database_url)
        return
    directory.end_leftovers()
    stack = Stack(options, settings)
    stack.check_ports()
    _run(stack, directory, with_link=not without_link)


def down(state_dir: StateDirOption = None, as_json: JsonFlag = False) -> None:
    """Stop the stack of a state directory, and what a killed stack left running there. The data are kept."""
    from rich.console import Console

    directory = state_directory(state_dir)
    running = directory.running()
    if running is not None:
        with Console(stderr=True).status("stopping ..."):
            _stop(running)
    found = running is not None or directory.read() is not None
    if found:
        directory.lock()
        directory.end_leftovers()
    if as_json:
        typer.echo(json.dumps({"state_dir": str(directory.path), "stopped": found}))
    else:
        typer.echo("stopped; the data are kept" if found else f"nothing runs in {directory.path}")


def status(
    state_dir: StateDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what runs, and where: every process, also workers that were started by hand.

    Exit status: 0 a stack runs, 1 no stack runs, 3 the directory cannot be read.
    """
    directory = state_directory(state_dir)
    with looking():
        state = directory.running()
    if state is None:
        name_unknown_settings()
        typer.echo(f"nothing runs in {directory.path}: `signalflow up` starts it", err=True)
        raise typer.Exit(FOUND)
    joined = asyncio.run(_joined_workers(state))
    status = state.status_now()
    troubles = map(_trouble_with_reddit, [worker.web_url for worker in (*status.workers, *(joined or ()))])
    # Only the worker that polls has one.
    trouble = next(filter(None, troubles), None)
    if as_json:
        shown = status.model_dump(mode="json")
        by_hand = None if joined is None else [asdict(worker) for worker in joined]
        typer.echo(json.dumps(shown | {"joined": by_hand, "reddit_answers_nothing": trouble}, default=str))
        return
    places = {
        "kafka": status.kafka,
        "database": status.database_url,
        "api": status.api_url,
        "simulator": status.simulator_url,
        "proxy to Reddit": status.proxy,
        "state directory": status.state_dir,
    }
    for name, value in places.items():
        typer.echo(f"{name:16} {value or '-'}")
    rows: list[tuple[str, int | None, str, str]] = [(state.supervisor.name, state.supervisor.pid, state.phase, "-")]
    rows += [(part.name, part.pid, part.state, part.address) for part in status.processes]
    rows += [(worker.name, worker.pid, f"{worker.state}, joined by hand", worker.web_url) for worker in joined or ()]
    for name, pid, what, where in rows:
        typer.echo(f"{name:16} pid {pid or '-':<8} {what:12} {where}")
    if joined is None:
        typer.echo("workers that joined by hand are not known: the database does not answer", err=True)
    if trouble:
        since, reason, what_to_do = trouble["since"], trouble["reason"], trouble["what_to_do"]
        typer.echo(f"{'reddit':16} answers nothing since {since} ({reason}): {what_to_do}")
    for unknown, meant in status.unknown_settings.items():
        typer.echo(f"unknown setting {unknown}" + (f": did you mean {meant}?" if meant else ""), err=True)
    for unused, reason in status.unused_settings.items():
        typer.echo(f"unused setting {unused}: {reason}", err=True)


def _trouble_with_reddit(web_url: str) -> dict[str, str] | None:
    """What this worker says of its requests to Reddit: since when none was answered, the reason, and what to do.

    None while they are answered, or while the worker does not answer.
    """
    import httpx

    try:
        found: dict[str, str] | None = (
            httpx.get(f"{web_url}/ready", timeout=2.0, trust_env=False).json().get("reddit_answers_nothing")
        )
    except (httpx.HTTPError, ValueError):
        return None
    return found


async def _joined_workers(state: "StackState") -> "list[WorkerRow] | None":
    """The workers that live on this stack's database and were not started by it; None when it cannot be asked."""
    from signalflow.errors import SignalflowError
    from signalflow.settings import Settings
    from signalflow.storage.pool import create_pool
    from signalflow.storage.workers import live_workers

    settings = Settings(**state.settings)  # type: ignore[arg-type]
    asked = settings.model_copy(update={"database_timeout": _STATUS_SECONDS})
    try:
        async with await create_pool(asked, application_name="signalflow status") as pool:
            return joined_by_hand(await live_workers(pool), state.status.processes)
    except SignalflowError:
        return None


def joined_by_hand(workers: "Sequence[WorkerRow]", processes: "Sequence[ProcessStatus]") -> "list[WorkerRow]":
    """The workers that are not processes of the stack, nor ended processes of the stack that left their names."""
    import psutil

    names, pids = {part.name for part in processes}, {part.pid for part in processes}
    return [
        worker
        for worker in workers
        if worker.pid not in pids and (worker.name not in names or psutil.pid_exists(worker.pid))
    ]


def state_directory(given: Path | None) -> "StateDir":
    """The state directory that an option names, or else the settings."""
    from signalflow.local.state import StateDir
    from signalflow.settings import StateDirSetting

    return StateDir((given or StateDirSetting().state_dir).resolve())


def _run(stack: "Stack", directory: "StateDir", *, with_link: bool) -> None:
    from rich.console import Console

    from signalflow.cli.user import new_link
    from signalflow.local.foreground import ForegroundStack
    from signalflow.local.report import ADMIN, ConsoleReporter
    from signalflow.logs import configure_logging, quiet_libraries, warn_of_settings_without_effect

    configure_logging(stack.settings)
    warn_of_settings_without_effect(stack.settings)
    # Kafka's client logs each attempt to reach a broker that is still starting.
    quiet_libraries(logging.CRITICAL)
    console = Console()

    async def run() -> None:
        foreground = ForegroundStack(stack, _steps(stack), directory, partial(ConsoleReporter, console))
        make_link = partial(new_link, stack.effective_settings(), ADMIN) if with_link else None
        await foreground.until_stopped(partial(_counter, stack), make_link)

    asyncio.run(run())


def _steps(stack: "Stack") -> list[list["Step"]]:
    """The work between the start of the servers and the start of the workers."""
    from signalflow.cli.installation import acting_user
    from signalflow.clock import utcnow
    from signalflow.kafka.admin import create_topics
    from signalflow.local.parts import Step
    from signalflow.local.report import ADMIN
    from signalflow.reddit.subreddits import read_subreddits
    from signalflow.storage import migrate
    from signalflow.storage.accounts import ensure_user
    from signalflow.storage.pool import create_pool
    from signalflow.storage.subreddits import load_defaults

    async def schema() -> None:
        await migrate.upgrade(stack.database_url)

    async def subreddits() -> None:
        async with await create_pool(stack.effective_settings(), application_name="signalflow up") as pool:
            await load_defaults(pool, read_subreddits())

    async def account() -> None:
        async with await create_pool(stack.effective_settings(), application_name="signalflow up") as pool:
            await ensure_user(pool, ADMIN, "admin", now=utcnow(), who=acting_user())

    async def topics() -> None:
        await create_topics(stack.effective_settings())

    return [
        [Step("schema", schema), Step("topics", topics)],
        [Step("subreddits", subreddits), Step("account", account)],
    ]


async def _counter(stack: "Stack") -> Callable[[], Awaitable[int]]:
    from signalflow.storage.overview import count_posts
    from signalflow.storage.pool import create_pool

    pool = await create_pool(stack.effective_settings(), application_name="signalflow up")
    return partial(count_posts, pool)


def _start_detached(directory: "StateDir", database_url: str | None) -> None:
    """Start the same command in a session of its own, and wait until its state file says that the stack is up."""
    from rich.console import Console

    from signalflow.cli.user import new_link
    from signalflow.errors import Fatal
    from signalflow.local.process import tail
    from signalflow.local.report import ADMIN
    from signalflow.local.running import worker_command
    from signalflow.settings import Settings

    log = directory.logs / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--detach", "-d")]
    environment = dict(os.environ)
    if database_url is not None:
        # Everybody on this machine sees the arguments of the process that stays, and this one may have a password.
        arguments = _without_option(arguments, "--database-url")
        environment["SIGNALFLOW_DATABASE_URL"] = database_url
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from signalflow.cli.main import main; main()", *arguments, _WITHOUT_LINK],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _DETACHED_START_SECONDS
    with Console(stderr=True).status("starting ..."):
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Fatal(f"the stack did not start:\n{tail(log)}")
            state = directory.running()
            if state is not None and state.supervisor.pid == process.pid and state.phase == "up":
                link = asyncio.run(new_link(Settings(**state.settings), ADMIN))  # type: ignore[arg-type]
                typer.echo(f"signalflow is up (`signalflow down` stops it); sign in, once: {link}")
                typer.echo(f"add a worker: {worker_command(directory.path)}")
                return
            time.sleep(_POLL_SECONDS)
    raise Fatal(f"the stack is not up after {_DETACHED_START_SECONDS:.0f} s; it is still starting, see {log}")


def _without_option(arguments: Sequence[str], option: str) -> list[str]:
    """Arguments without an option and its value, `--option value` or `--option=value`."""
    kept = [argument for argument in arguments if not argument.startswith(f"{option}=")]
    while option in kept:
        at = kept.index(option)
        del kept[at : at + 2]
    return kept


def _stop(running: "StackState") -> None:
    """Send SIGTERM to the supervisor, which stops everything, and SIGKILL if it does not end in time.

    The caller ends the processes that are left.
    """
    import psutil

    process = running.supervisor.find()
    if process is None:
        return
    process.terminate()
    try:
        process.wait(_DOWN_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()
