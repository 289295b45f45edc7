"""Finding the stack that `signalflow up` runs in a state directory."""

from signalflow.local.state import StateDir
from signalflow.settings import Settings


def with_addresses_of_stack(settings: Settings) -> Settings | None:
    """These settings with the addresses of the stack that runs in their state directory; None when no stack runs there.

    What the environment sets wins over what the stack decided.
    """
    state = StateDir(settings.state_dir.resolve()).running()
    if state is None:
        return None
    given = settings.model_dump(include=settings.model_fields_set)
    return Settings(**(state.settings | given))
