"""Errors that the user can correct are shown as one line, not as a traceback. Exit statuses have one meaning each."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from signalflow.cli.installation import where_it_looked
from signalflow.errors import Fatal, Retryable, SignalflowError
from signalflow.local.disk import lacks_space

FOUND = 1
WRONG_USE = 2
# Scripts that alert on what was found must not alert when Kafka or the database only did not answer.
COULD_NOT_TELL = 3
INTERRUPTED = 130
_HERE_IS_REMOVED = "the current directory was removed: change to another one, or give absolute paths"

# What pydantic says of these speaks of parsing and of patterns.
_IN_OUR_WORDS = {
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "string_pattern_mismatch": "has a character that it may not have, or is too long",
    "path_not_file": "must be the path of a file that exists",
}


@contextmanager
def explained() -> Iterator[None]:
    """End the process with a message for our errors and for those of files, and with status 130 for Ctrl-C.

    Status 2: a setting is wrong. 3: Kafka or the database did not answer, or the current directory was removed. 1: all
    else.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ValidationError as error:
        for problem in error.errors():
            setting = "_".join(str(part) for part in problem["loc"])
            reason = _IN_OUR_WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
            reason = reason.replace("Input should be", "must be")
            print(f"SIGNALFLOW_{setting.upper()}: {reason}" if setting else reason, file=sys.stderr)
        sys.exit(WRONG_USE)
    except Retryable as error:
        print(f"error: {error}{where_it_looked(error)}", file=sys.stderr)
        sys.exit(COULD_NOT_TELL)
    except SignalflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FOUND)
    except BrokenPipeError:
        _drop_output()
        sys.exit(FOUND)
    except OSError as error:
        if lacks_space(error):
            _drop_output()
            print(f"error: {error.filename or 'the output'} cannot be written: {error.strerror}", file=sys.stderr)
            sys.exit(FOUND)
        if _is_here_removed():
            print(f"error: {_HERE_IS_REMOVED}", file=sys.stderr)
            sys.exit(COULD_NOT_TELL)
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(FOUND)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def show_any_text() -> None:
    """Let the output show every text: what its encoding lacks, and names of files that are no text, is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_here_removed() -> bool:
    """Whether the current directory was removed, so that no relative path can be followed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _drop_output() -> None:
    """Drop what is left of the output: it would fail once more at the end of the process, with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def looking() -> Iterator[None]:
    """For commands that look for something: whatever keeps them from looking ends the process with status 3."""
    try:
        yield
    except (Retryable, Fatal) as error:
        print(f"error: {error}{where_it_looked(error)}", file=sys.stderr)
        raise typer.Exit(COULD_NOT_TELL) from error
