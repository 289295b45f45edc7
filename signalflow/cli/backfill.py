"""`signalflow backfill`: put the posts and comments of archives and exports into the pipeline."""

import asyncio
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.failures import FOUND
from signalflow.cli.file_arguments import files_of
from signalflow.cli.options import JsonFlag, OfStack, parse_time

if TYPE_CHECKING:
    from signalflow.cli.backfill_run import Done

_SUMS = ("lines", "published", "posts", "comments", "rejected")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backfill)


def backfill(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Files, directories, patterns such as 'RS_*.zst'; - for standard input, which needs --observed-at.",
        ),
    ],
    observed_at: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="When everything was seen; ISO 8601, UTC without an offset. Default: newest created_utc of each file.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="RECORDS",
            help="Most records a second; 0: as fast as Kafka confirms. Default: SIGNALFLOW_BACKFILL_RATE.",
        ),
    ] = None,
    rejected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write each line that was rejected to this file, as JSON: file, line, field, reason.",
        ),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin each file anew, also where an earlier run stopped within it.")
    ] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Publish the posts and comments of files as backfill: JSON or CSV with the field names of Reddit's API.

    A file has one post or comment a line, or an array of them, or it is a table whose first line names its columns, a
    data frame, or a saved answer of the API. It may be packed with gzip, Zstandard (any window), bzip2 or xz, and be
    UTF-8, UTF-16 or UTF-32: its first bytes tell. A directory stands for all files in it that end like such a file.

    A post needs id, subreddit, title, created_utc, num_comments, over_18 and is_self, a comment id, link_id, subreddit,
    body and created_utc; a score that is missing is unknown. Numbers and flags may be texts or 12.0 for 12, times may
    be ISO 8601.

    Invalid lines are counted and skipped. A file that cannot be read keeps no other from being published. Publishing a
    file again changes nothing, and nothing replaces what was observed later.

    When it was interrupted, the same command goes on behind the last line that Kafka confirmed. A bookmark of each file
    in SIGNALFLOW_STATE_DIR/backfill tells where that is. A file that has changed since, another --observed-at or topics
    that were made anew begin anew, and so does the command once all files are done. Standard input has no bookmark.

    Exit status: 0 all files were read to their end; 1 one was not, or no line of any was valid; 2 wrong usage; 3 Kafka
    did not answer at the start (during a later outage the command waits); 130 interrupted.
    """
    try:
        paths = files_of(files)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint="FILE...") from None
    if rejected is not None and rejected.resolve() in [path.resolve() for path in paths]:
        raise typer.BadParameter(f"{rejected} is one of the files to read", param_hint="--rejected")
    from signalflow.cli.backfill_run import Wanted, run
    from signalflow.cli.installation import installation_settings

    settings, started = installation_settings(), time.monotonic()
    wanted = Wanted(paths, observed_at, settings.backfill_rate if rate is None else rate, rejected, from_start)
    try:
        done = asyncio.run(run(settings, wanted))
    except KeyboardInterrupt:
        goes_on = all(path.is_file() for path in paths)
        print("stopped" + ("; the same command goes on where it stopped" if goes_on else ""), file=sys.stderr)
        raise
    summary = _summary(done, time.monotonic() - started)
    if as_json:
        print(json.dumps(summary))
    else:
        _print(summary)
        for reason in done.errors:
            print(f"error: {reason}", file=sys.stderr)
    if (
        done.errors
        or (summary["lines"] and not summary["published"])
        or not all(file["read_to_end"] for file in summary["files"])
    ):
        raise typer.Exit(FOUND)


def _summary(done: "Done", seconds: float) -> dict[str, Any]:
    from signalflow.events import storable

    files = [
        {
            "path": storable(str(outcome.path)),
            "observed_at": outcome.observed_at.isoformat() if outcome.observed_at else None,
            "lines": outcome.tally.lines,
            "lines_before": done.before[outcome.path],
            "published": outcome.tally.published,
            "posts": outcome.tally.posts,
            "comments": outcome.tally.comments,
            "rejected": outcome.tally.rejected,
            "read_to_end": outcome.tally.read_to_end,
            "reasons": [
                {"line": reason.line, "field": reason.field, "reason": reason.reason}
                for reason in outcome.tally.reasons
            ],
        }
        for outcome in done.outcomes
    ]
    return {
        "files": files,
        **{name: sum(file[name] for file in files) for name in _SUMS},
        "seconds": round(seconds, 3),
        "errors": done.errors,
    }


def _print(summary: dict[str, Any]) -> None:
    for file in summary["files"]:
        print(
            f"{file['path']}: {file['published']} published ({file['posts']} posts, {file['comments']} comments), "
            f"{file['rejected']} rejected of {file['lines']} lines"
            + (f"; an earlier run had read {file['lines_before']} of them" if file["lines_before"] else "")
        )
        for reason in file["reasons"]:
            print(f"  line {reason['line']}: {reason['field'] or 'line'}: {reason['reason']}")
        if file["rejected"] > len(file["reasons"]):
            print(f"  and {file['rejected'] - len(file['reasons'])} more")
