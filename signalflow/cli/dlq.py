"""`signalflow dlq`: show dead letters, replay them, or discard them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import acting_user, installation_settings
from signalflow.cli.options import JsonFlag, OfStack, parse_time
from signalflow.cli.tables import print_whole, whole_table
from signalflow.domain.words import LetterState, ReplayPolicy, Stage

if TYPE_CHECKING:
    from signalflow.dead_letters.replay import ReplayReport, ReplayRequest
    from signalflow.settings import Settings
    from signalflow.storage.dead_letters import LetterFilter, StoredLetter
    from signalflow.storage.pool import Pool

T = TypeVar("T")
PREVIEW_BYTES = 60
MOST_SHOWN_BYTES = 64 << 10


LetterId = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="Id of the dead letter.")]
Topic = Annotated[str | None, typer.Option(help="Only dead letters of records from this topic.")]
StageOption = Annotated[Stage | None, typer.Option(help="Only dead letters of this stage.")]
ErrorType = Annotated[str | None, typer.Option(help="Only dead letters with this type of error.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="Failed then or later; ISO 8601, UTC without an offset."),
]
Until = Annotated[datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="Failed before.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Dead letters: show them, replay them, or discard them.")
    group.command(name="list")(list_letters)
    for command in (show, stats, replay, resolve):
        group.command()(command)
    app.add_typer(group, name="dlq")


def list_letters(
    topic: Topic = None,
    stage: StageOption = None,
    error_type: ErrorType = None,
    state: Annotated[LetterState | None, typer.Option(help="Only dead letters in this state.")] = None,
    since: Since = None,
    until: Until = None,
    before: Annotated[int | None, typer.Option(min=1, metavar="ID", help="Only dead letters with a lower id.")] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 50,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show dead letters, newest first. Exit status 3 when the database could not be asked."""
    from signalflow.storage.dead_letters import letters_page

    wanted = _chosen(topic, stage, error_type, since, until, state)
    found = _with_pool(lambda pool, _: letters_page(pool, wanted, before=before, limit=most, value_bytes=PREVIEW_BYTES))
    if as_json:
        print(json.dumps([_plain(letter) for letter in found]))
    else:
        _table(found)


def show(letter_id: LetterId, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show one dead letter with its record.

    Exit status: 1 when it does not exist, 3 when the database could not be asked.
    """
    letter = _with_pool(lambda pool, _: _existing(pool, letter_id))
    plain = _plain(letter)
    if as_json:
        print(json.dumps(plain))
        return
    for name, value in plain.items():
        if value is not None:
            print(f"{name:>16}  {_printable(value) if isinstance(value, str) else json.dumps(value)}")


def stats(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Count dead letters by topic, stage, error and state.

    Exit status, for use in checks: 0 none is open; 1 at least one is; 3 the database could not be asked.
    """
    from signalflow.storage.dead_letters import letter_counts

    counts = _with_pool(lambda pool, _: letter_counts(pool))
    if as_json:
        print(json.dumps([asdict(count) for count in counts], default=str))
    else:
        from rich.markup import escape

        table = whole_table("topic", "stage", "error", "state", "letters", "oldest", "newest")
        for count in counts:
            where = (count.source_topic, count.stage, count.error_type, count.state)
            table.add_row(*map(escape, where), str(count.letters), _moment(count.oldest), _moment(count.newest))
        print_whole(table if counts else "no dead letters")
    if any(count.state == "dead" for count in counts):
        raise typer.Exit(FOUND)


def replay(
    letter_id: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", min=1, max=2**63 - 1, help="Only this dead letter. Default: all that match."),
    ] = None,
    topic: Topic = None,
    stage: StageOption = None,
    error_type: ErrorType = None,
    since: Since = None,
    until: Until = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="At most this many, oldest first. Default: SIGNALFLOW_DLQ_REPLAY_MOST.")
    ] = None,
    policy: Annotated[
        ReplayPolicy,
        typer.Option(
            help="continue: send all. stop: send one at a time, wait until it is processed, end when one fails again."
        ),
    ] = "continue",
    wait: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long policy stop waits in total.")] = 600.0,
    only_show: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Send the original records of open dead letters back to their topics. Doing it twice changes nothing.

    Exit status: 1 when a record failed again, when the outcome is not known in time, when brokers or database went away
    meanwhile, or when ID cannot be replayed; 3 when the database could not be asked at all.
    """
    from signalflow.dead_letters.replay import ReplayRequest

    wanted = _chosen(topic, stage, error_type, since, until)

    async def work(pool: "Pool", settings: "Settings") -> "ReplayReport":
        request = ReplayRequest(
            by=acting_user(),
            wanted=wanted,
            only=letter_id,
            policy=policy,
            most=settings.dlq_replay_most if most is None else most,
            wait_seconds=wait,
        )
        if letter_id is not None:
            await _existing(pool, letter_id)
        return await _replay(pool, settings, request, dry=only_show)

    report = _with_pool(work)
    if as_json:
        print(json.dumps(asdict(report)))
    elif only_show:
        print(f"would send {len(report.ids)}: {', '.join(map(str, report.ids)) or 'nothing'}")
    else:
        print(f"{report.outcome}: {report.sent} of {len(report.ids)} sent, {report.skipped} skipped", end="")
        print(f", {report.failed_again} failed again" if policy == "stop" else "")
    if report.outcome not in ("completed", "dry_run") or (letter_id is not None and not report.ids):
        raise typer.Exit(FOUND)


def resolve(
    letter_id: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", min=1, max=2**63 - 1, help="Only this dead letter. Default: all that match."),
    ] = None,
    topic: Topic = None,
    stage: StageOption = None,
    error_type: ErrorType = None,
    since: Since = None,
    until: Until = None,
    reason: Annotated[
        str, typer.Option(help="Why they are discarded; stored with them. Only --dry-run needs none.")
    ] = "",
    most: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, oldest first.")] = 1000,
    only_show: Annotated[bool, typer.Option("--dry-run", help="Show what would be discarded; change nothing.")] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Discard dead letters: mark them as resolved, and never replay them. Give an ID, or a filter for open ones.

    Exit status: 1 when ID does not exist or is resolved already, 3 when the database could not be asked.
    """
    from signalflow.storage.dead_letters import LetterFilter, open_letters, resolve_letters

    wanted = _chosen(topic, stage, error_type, since, until)
    if (letter_id is None) == (wanted == LetterFilter()):
        raise typer.BadParameter(
            "give either an ID, or at least one of --topic, --stage, --error-type, --since, --until"
        )
    if not (only_show or reason.strip()):
        raise typer.BadParameter("say why they are discarded", param_hint="--reason")
    if letter_id is not None:
        _resolve_one(letter_id, reason, only_show=only_show, as_json=as_json)
        return
    ids = _with_pool(
        lambda pool, _: (
            open_letters(pool, wanted, most=most)
            if only_show
            else resolve_letters(pool, wanted, by=acting_user(), reason=reason, most=most)
        )
    )
    if as_json:
        print(json.dumps({"ids": ids, "resolved": 0 if only_show else len(ids)}))
    else:
        print(f"{'would discard' if only_show else 'discarded'} {len(ids)}: {', '.join(map(str, ids)) or 'nothing'}")


def _resolve_one(letter_id: int, reason: str, *, only_show: bool, as_json: bool) -> None:
    from signalflow.storage.dead_letters import resolve_letter

    async def work(pool: "Pool", _: "Settings") -> bool:
        letter = await _existing(pool, letter_id)
        if only_show:
            return letter.state != "resolved"
        return await resolve_letter(pool, letter_id, by=acting_user(), reason=reason)

    done = _with_pool(work)
    if as_json:
        print(json.dumps({"id": letter_id, "resolved": done and not only_show}))
    else:
        told = "would be resolved" if only_show else "resolved"
        print(f"{letter_id}: {told}" if done else f"{letter_id}: was resolved already")
    if not done:
        raise typer.Exit(FOUND)


async def _existing(pool: "Pool", letter_id: int) -> "StoredLetter":
    from signalflow.errors import Invalid
    from signalflow.storage.dead_letters import find_letter

    letter = await find_letter(pool, letter_id, value_bytes=MOST_SHOWN_BYTES)
    if letter is None:
        raise Invalid(f"there is no dead letter {letter_id}")
    return letter


async def _replay(pool: "Pool", settings: "Settings", request: "ReplayRequest", *, dry: bool) -> "ReplayReport":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from signalflow.dead_letters.replay import dry_run
    from signalflow.dead_letters.replay import replay as send_back

    if dry:
        return await dry_run(pool, settings, request)
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On standard error, so that --json leaves standard output to the summary.
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=None)
        return await send_back(
            pool, settings, request, lambda done, total: bar.update(task, completed=done, total=total)
        )


def _chosen(
    topic: str | None,
    stage: Stage | None,
    error_type: str | None,
    since: datetime | None,
    until: datetime | None,
    state: LetterState | None = None,
) -> "LetterFilter":
    from signalflow.errors import Invalid
    from signalflow.storage.dead_letters import LetterFilter

    try:
        return LetterFilter(topic, stage, error_type, since, until, state)
    except Invalid as error:
        raise typer.BadParameter(str(error), param_hint=f"--{error.field}") from error


def _with_pool(work: "Callable[[Pool, Settings], Awaitable[T]]") -> T:
    from signalflow.logs import configure_logging, quiet_libraries
    from signalflow.storage.pool import create_pool

    settings = installation_settings()
    configure_logging(settings)
    quiet_libraries()

    async def run() -> T:
        pool = await create_pool(settings, application_name="signalflow-dlq")
        try:
            return await work(pool, settings)
        finally:
            await pool.close()

    with looking():
        return asyncio.run(run())


def _plain(letter: "StoredLetter") -> dict[str, Any]:
    """A letter with values for JSON: bytes become text if they are UTF-8, else `base64:...`."""
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(letter).items()
    }
    return plain | {
        "topic_id": str(letter.topic_id),
        "key": _text(letter.key),
        "value": _text(letter.value),
        "headers": [[name, _text(value)] for name, value in letter.headers],
    }


def _text(value: bytes | None) -> str | None:
    import base64
    import codecs

    if value is None:
        return None
    try:
        # A shortened value may end within a character, which is left out then.
        return codecs.getincrementaldecoder("utf-8")().decode(value)
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _table(letters: "list[StoredLetter]") -> None:
    from rich.markup import escape

    table = whole_table("id", "failed at", "state", "attempt", "stage", "where", "error")
    for letter in letters:
        where = f"{letter.source_topic}[{letter.source_partition}]@{letter.source_offset}"
        error = f"{letter.error_type}: {letter.error}"[:120]
        plain = (str(letter.id), _moment(letter.failed_at), letter.state, str(letter.attempt), letter.stage)
        table.add_row(*plain, escape(where), escape(_printable(error)))
    print_whole(table if letters else "no dead letters")


def _printable(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)
