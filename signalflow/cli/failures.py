"""Errors that the user can correct are shown as one line, not as a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from signalflow.errors import SignalflowError

INTERRUPTED = 130


@contextmanager
def explained() -> Iterator[None]:
    """End the process with a message: status 2 for a wrong setting, 1 for our other errors; Ctrl-C ends it with 130."""
    try:
        yield
    except ValidationError as error:
        for problem in error.errors():
            setting = "_".join(str(part) for part in problem["loc"])
            print(f"SIGNALFLOW_{setting.upper()}: {problem['msg']}" if setting else problem["msg"], file=sys.stderr)
        sys.exit(2)
    except SignalflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
