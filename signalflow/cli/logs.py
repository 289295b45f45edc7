"""`signalflow logs`: the log files of the local stack, which run in its state directory."""

import json
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import IO, Annotated

import typer

from signalflow.cli.failures import looking
from signalflow.cli.options import JsonFlag
from signalflow.cli.up import StateDirOption, state_directory

FOLLOW_SECONDS = 0.3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(logs)


def logs(
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="[PART...]", help="Such as worker-1 or api. Default: all parts.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines to show of each part.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines as they come, until Ctrl-C.")] = False,
    state_dir: StateDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the logs of the local stack, each line with its part; with --json, an object a line.

    Exit status: 1 when there is no log of a part that you named, or none at all; 3 when the logs cannot be read.
    """
    from signalflow.errors import Fatal, Invalid

    directory = state_directory(state_dir).logs
    found = {path.stem: path for path in sorted(directory.glob("*.log"))}
    if not found:
        raise Invalid(f"there are no logs in {directory}: `signalflow up` writes them, --state-dir looks elsewhere")
    for part in parts or ():
        if part not in found:
            raise Invalid(f"there is no log of {part!r} in {directory}; there are {', '.join(found)}")
    wanted = {part: found[part] for part in parts or found}
    shown = _as_json if as_json else partial(_as_text, max(map(len, wanted)))
    try:
        opened = {part: path.open(encoding="utf-8", errors="replace") for part, path in wanted.items()}
    except OSError as error:
        with looking():
            raise Fatal(f"{error.filename} cannot be read: {error.strerror}") from error
    for part, file in opened.items():
        # A line that is still being written is shown whole once it is followed.
        for line in deque(_whole_lines(file) if follow else file, maxlen=lines):
            print(shown(part, line))
    while follow:
        for part, file in opened.items():
            for line in _whole_lines(file):
                # With its end in one text: unbuffered output would show a line and its end by halves.
                print(f"{shown(part, line)}\n", end="", flush=True)
        time.sleep(FOLLOW_SECONDS)


def _as_text(width: int, part: str, line: str) -> str:
    return f"{part:{width}}  {line.rstrip()}"


def _as_json(part: str, line: str) -> str:
    return json.dumps({"part": part, "line": line.rstrip()})


def _whole_lines(file: IO[str]) -> Iterator[str]:
    """The lines that have come since the last call; one that is still being written comes at a later call."""
    while True:
        begin = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(begin)
            return
        yield line
