"""Errors that the user can correct are shown as one line, not as a traceback. Exit statuses have one meaning each."""

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


@contextmanager
def explained() -> Iterator[None]:
    """End the process with a message for our errors and for a full disk, and with status 130 for Ctrl-C.

    Status 2: a setting is wrong. 3: Kafka or the database did not answer. 1: all else.
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
            reason = problem["msg"].removeprefix("Value error, ")
            print(f"SIGNALFLOW_{setting.upper()}: {reason}" if setting else reason, file=sys.stderr)
        sys.exit(WRONG_USE)
    except Retryable as error:
        print(f"error: {error}{where_it_looked()}", file=sys.stderr)
        sys.exit(COULD_NOT_TELL)
    except SignalflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FOUND)
    except BrokenPipeError:
        _drop_output()
        sys.exit(FOUND)
    except OSError as error:
        if not lacks_space(error):
            raise
        _drop_output()
        print(f"error: {error.filename or 'the output'} cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(FOUND)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _drop_output() -> None:
    """Drop what is left of the output: it would fail once more at the end of the process, with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def looking() -> Iterator[None]:
    """For commands that look for something: whatever keeps them from looking ends the process with status 3."""
    try:
        yield
    except (Retryable, Fatal) as error:
        print(f"error: {error}{where_it_looked()}", file=sys.stderr)
        raise typer.Exit(COULD_NOT_TELL) from error
