"""The installation that a command works on: the one that the environment names, or the stack of `signalflow up`."""

import getpass
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from signalflow.settings import Settings

# Each of these names an installation. One from the environment and the other from a stack would mix two installations.
_NAMES_AN_INSTALLATION = frozenset({"kafka", "database_url"})


def installation_settings() -> "Settings":
    """The settings of the installation that this command works on.

    If the environment names no installation and a stack runs in the state directory, they have the stack's addresses.
    Names on standard error what looks like a setting and is none: a misspelt address would be another installation.
    Raises pydantic.ValidationError for a wrong setting.
    """
    from signalflow.settings import get_settings

    name_unknown_settings()
    settings = get_settings()
    if settings.model_fields_set & _NAMES_AN_INSTALLATION:
        return settings
    try:
        from signalflow.local.running import with_addresses_of_stack
    except ModuleNotFoundError:
        # Without the extra `local` no stack can run.
        return settings
    return with_addresses_of_stack(settings) or settings


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
