"""Which installation a command speaks to: the one that the environment names, or else the stack that `signalflow up` runs here."""

import getpass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signalflow.settings import Settings

# Either names an installation. One from the environment and the other from a stack would mix two of them.
_NAMES_AN_INSTALLATION = frozenset({"kafka", "database_url"})


def command_settings() -> "Settings":
    """The settings of this process; while a stack runs in the state directory and the environment names no other, with its addresses.

    Raises pydantic.ValidationError for a wrong setting.
    """
    from signalflow.settings import get_settings

    settings = get_settings()
    if settings.model_fields_set & _NAMES_AN_INSTALLATION:
        return settings
    try:
        from signalflow.local.running import with_addresses_of_stack
    except ModuleNotFoundError:
        # Without the extra `local` there is no stack.
        return settings
    return with_addresses_of_stack(settings) or settings


def command_user() -> str:
    """Who runs this command, as the audit log names it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run under a number without a name.
        return "cli"
