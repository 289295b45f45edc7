"""The installation that a command works on: the one that the environment names, or the stack of `signalflow up`."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from signalflow.errors import Retryable

if TYPE_CHECKING:
    from signalflow.settings import Settings

# Each of these names an installation. One from the environment and the other from a stack would mix two installations.
_NAMES_AN_INSTALLATION = frozenset({"kafka", "database_url"})

# The directory that --state-dir of the running command gave.
_given: Path | None = None


def work_on(state_dir: Path | None) -> Path | None:
    """Let this command work on the stack in a directory; None: on the installation that the environment names."""
    global _given
    _given = state_dir
    return state_dir


def installation_settings() -> "Settings":
    """The settings of the installation that this command works on.

    If the environment names no installation and a stack runs in the state directory, they have the stack's addresses.
    A directory that --state-dir gave wins over the environment. Names on standard error what looks like a setting and
    is none: a misspelt address would be another installation. Raises pydantic.ValidationError for a wrong setting,
    Retryable when no stack runs in the directory that was given.
    """
    settings = _without_stack()
    if _given is None and settings.model_fields_set & _NAMES_AN_INSTALLATION:
        return settings
    try:
        from signalflow.local.running import with_addresses_of_stack
    except ModuleNotFoundError:
        # Without the extra `local` no stack can run.
        return settings
    found = with_addresses_of_stack(settings, stack_wins=_given is not None)
    if found is None and _given is not None:
        raise Retryable(f"no stack runs in {_given.resolve()}: `signalflow up --state-dir {_given}` starts it")
    return found or settings


class Place(NamedTuple):
    """Where a database is. `settings`: of the installation that runs; None when only its database does."""

    database_url: str
    settings: "Settings | None"


@contextmanager
def installation_database(*, new: bool) -> Iterator[Place]:
    """The installation's database. If no stack runs in the state directory, its server runs for the block.

    `new`: a directory without a database gets one. Raises like `installation_settings`.
    """
    settings = _without_stack()
    directory = None
    if _given is not None or not settings.model_fields_set & _NAMES_AN_INSTALLATION:
        with suppress(ModuleNotFoundError):
            # Without the extra `local` there is no such server.
            from signalflow.local.stopped import stopped_directory

            directory = stopped_directory(settings.state_dir, new=new)
        settings = settings if directory else installation_settings()
    if directory is None:
        yield Place(settings.database_url.get_secret_value(), settings)
        return
    from signalflow.local.stopped import running_database

    with running_database(directory) as url:
        yield Place(url, None)


def _without_stack() -> "Settings":
    """The settings of the environment, with the directory that --state-dir gave."""
    from signalflow.settings import get_settings

    name_unknown_settings()
    settings = get_settings()
    return settings if _given is None else settings.model_copy(update={"state_dir": _given})


@lru_cache(maxsize=1)
def name_unknown_settings() -> None:
    """Name the variables of the environment that look like settings and are none, once, on standard error."""
    from signalflow.settings import unknown_variables

    for name, meant in unknown_variables(os.environ).items():
        print(f"unknown setting {name}" + (f": did you mean {meant}?" if meant else ""), file=sys.stderr)


def where_it_looked(error: BaseException) -> str:
    """For an error: where a command looked for the database, or for an installation that is not named; else empty.

    Outside of a project's directory the stack of another directory is not found.
    """
    from signalflow.settings import get_settings

    settings = get_settings()
    if _given is not None:
        return ""
    if settings.model_fields_set & _NAMES_AN_INSTALLATION:
        # The system's error has a number in place of the host's name, or nothing.
        if "database_url" in settings.model_fields_set and isinstance(error.__cause__, OSError):
            host = urlsplit(settings.database_url.get_secret_value()).netloc.rpartition("@")[2]
            return f"; SIGNALFLOW_DATABASE_URL names {host}"
        return ""
    if installation_settings() is not settings:
        return ""
    return (
        f"; no stack runs in {settings.state_dir.resolve()}, and neither SIGNALFLOW_KAFKA nor SIGNALFLOW_DATABASE_URL "
        "is set: set them, or SIGNALFLOW_STATE_DIR to the directory of a stack that runs"
    )


def acting_user() -> str:
    """The user who runs this command, as the audit log names users: `cli:` and the account's name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run under a user id that has no name.
        return "cli"


def api_address(settings: "Settings") -> str:
    """The API's URL on this machine."""
    host = settings.api_host if settings.api_host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"
