"""The installation that a command works on: the one that the environment names, or the stack of `signalflow up`."""

import getpass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signalflow.settings import Settings

# Each of these names an installation. One from the environment and the other from a stack would mix two installations.
_NAMES_AN_INSTALLATION = frozenset({"kafka", "database_url"})


def installation_settings() -> "Settings":
    """The settings of the installation that this command works on.

    If the environment names no installation and a stack runs in the state directory, they have the stack's addresses.
    Raises pydantic.ValidationError for a wrong setting.
    """
    from signalflow.settings import get_settings

    settings = get_settings()
    if settings.model_fields_set & _NAMES_AN_INSTALLATION:
        return settings
    try:
        from signalflow.local.running import with_addresses_of_stack
    except ModuleNotFoundError:
        # Without the extra `local` no stack can run.
        return settings
    return with_addresses_of_stack(settings) or settings


def where_it_looked() -> str:
    """For an error: where a command without an installation in its environment looked for one; else empty.

    Outside of a project's directory the stack of another directory is not found.
    """
    from signalflow.settings import get_settings

    settings = get_settings()
    if settings.model_fields_set & _NAMES_AN_INSTALLATION or installation_settings() is not settings:
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
