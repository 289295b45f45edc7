"""How commands and workers find the stack that `signalflow up` runs in a state directory."""

import shlex
import shutil
import sys
from pathlib import Path

from signalflow.local.state import StateDir
from signalflow.settings import Settings


def with_addresses_of_stack(settings: Settings, *, stack_wins: bool = False) -> Settings | None:
    """These settings with the addresses of the stack that runs in their state directory; None when no stack runs there.

    What the environment sets wins over what the stack decided, unless `stack_wins`.
    """
    state = StateDir(settings.state_dir.resolve()).running()
    if state is None:
        return None
    given = settings.model_dump(include=settings.model_fields_set)
    return Settings(**(given | state.settings if stack_wins else state.settings | given))


def worker_command(state_dir: Path) -> str:
    """The shell command that adds a worker by hand to the stack in `state_dir`, when typed in the current directory."""
    words = ["SIGNALFLOW_JOIN_LOCAL_STACK=true"]
    if state_dir.resolve() != Settings.model_fields["state_dir"].default.resolve():
        words.append(f"SIGNALFLOW_STATE_DIR={shlex.quote(str(state_dir))}")
    faust = installed_program("faust")
    words.append("faust" if shutil.which("faust") == faust else shlex.quote(faust))
    return " ".join([*words, "-A", "signalflow", "worker"])


def installed_program(name: str) -> str:
    """The path of a program that was installed together with this interpreter."""
    return str(Path(sys.executable).with_name(name))
