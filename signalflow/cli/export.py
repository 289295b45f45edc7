"""`signalflow export`: all posts, comments or signals that meet filters, or what was observed of posts, as a file."""

import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.options import JsonFlag, OfStack, parse_time

if TYPE_CHECKING:
    from signalflow.exports.formats import FormatName
    from signalflow.exports.tables import TableName

STDOUT = "-"
_FORMATS: "dict[str, FormatName]" = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    table: Annotated[
        str,
        typer.Argument(
            help="`posts`, `comments`, `signals`, or `history`: what was observed of posts.",
            metavar="posts|comments|history|signals",
        ),
    ],
    to: Annotated[
        str, typer.Argument(help="A new file; its ending gives the format: .csv, .ndjson, .parquet. `-`: the output.")
    ],
    format_: Annotated[
        str | None, typer.Option("--format", help="csv, ndjson or parquet, whatever the file is called.")
    ] = None,
    subreddit: Annotated[list[str] | None, typer.Option(help="Of this subreddit; may be given several times.")] = None,
    author: Annotated[str | None, typer.Option(help="By this author.")] = None,
    words: Annotated[
        str | None,
        typer.Option(help="With these words, as in the search of the pages: `mars -film score>10`."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Created then or later (ISO 8601); of signals, begun.")] = None,
    until: Annotated[str | None, typer.Option(help="Created before (ISO 8601); of signals, begun.")] = None,
    pseudonyms: Annotated[
        bool,
        typer.Option(
            "--pseudonyms", help="Replace the names of authors. SIGNALFLOW_PSEUDONYM_KEY keeps them the same."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an export of the same rows that was broken off.")
    ] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Write all posts or comments that meet the filters to a file, newest first, with their texts.

    `history` writes the numbers that were observed of such posts: a row for each observation, of each post the oldest
    first. `signals` writes what took off or was unusual, with the numbers that say so: the latest begun first.

    What is written stands in FILE.part until it is whole. Exit status: 0 done; 1 refused or failed, as the message
    says; 2 wrong usage; 3 the database did not answer. After 1 and 3, and after Ctrl-C, --resume goes on.
    """
    from signalflow.cli.export_run import NAMES, Export, run
    from signalflow.domain.queries.asked import asked
    from signalflow.domain.queries.language import QueryError
    from signalflow.domain.subreddits import account_name

    begin, end = _time(since, "--since"), _time(until, "--until")
    if begin is not None and end is not None and begin >= end:
        raise typer.BadParameter("must be before --until", param_hint="--since")
    if words:
        try:
            asked(words)
        except QueryError as error:
            raise typer.BadParameter(str(error), param_hint="--words") from error
    chosen = _table(table)
    if chosen == "signals" and (author or words):
        raise typer.BadParameter("signals have no authors and no words: give --subreddit, --since, --until")
    wanted = Export(
        table=chosen,
        format=_format(format_, to),
        subreddits=tuple(map(_subreddit, subreddit or ())),
        author=author and account_name(author),
        words=words,
        created_from=begin,
        created_to=end,
        pseudonyms=pseudonyms,
    )
    if resume and (to == STDOUT or wanted.format == "parquet"):
        raise typer.BadParameter("only files of the formats csv and ndjson can be continued", param_hint="--resume")
    if as_json and to == STDOUT:
        raise typer.BadParameter("the output is the export itself: give a file", param_hint="--json")
    summary = run(wanted, None if to == STDOUT else Path(to), resume=resume)
    if as_json:
        print(json.dumps({"file": to, "rows": summary.rows, "bytes": summary.bytes}))
    else:
        where = "" if to == STDOUT else f"{to}: "
        print(f"{where}{summary.rows:,} {NAMES[wanted.table]}, {summary.bytes:,} bytes", file=sys.stderr)


def _table(name: str) -> "TableName":
    from signalflow.exports.tables import TABLES

    for known in TABLES:
        if name == known:
            return known
    raise typer.BadParameter(f"must be one of {', '.join(TABLES)}, not {name!r}", param_hint="TABLE")


def _format(given: str | None, to: str) -> "FormatName":
    for known in _FORMATS.values():
        if given == known:
            return known
    if given is not None:
        raise typer.BadParameter(f"must be csv, ndjson or parquet, not {given!r}", param_hint="--format")
    found = "ndjson" if to == STDOUT else _FORMATS.get(Path(to).suffix.lower())
    if found is None:
        raise typer.BadParameter(f"{to!r} ends with none of {', '.join(_FORMATS)}: give --format", param_hint="TO")
    return found


def _subreddit(text: str) -> str:
    name = text.strip().removeprefix("/").removeprefix("r/")
    # Wider than what can be watched: archives have names of former times, such as `reddit.com`.
    if not re.fullmatch(r"[A-Za-z0-9_:.-]{1,32}", name):
        raise typer.BadParameter(f"{text[:80]!r} is not the name of a subreddit", param_hint="--subreddit")
    return name


def _time(text: str | None, option: str) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint=option) from error
