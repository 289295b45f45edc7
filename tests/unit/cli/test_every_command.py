"""What all commands have in common."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from signalflow.cli.main import COMMANDS

# They start something and print where it is.
PRINT_NO_DATA = {"up", "api", "simulator", "mcp"}
# `api` is told by its environment where it works, as workers are. The others need no installation.
LOOK_FOR_NO_STACK = {"api", "simulator", "schema export", "evaluate"}


def commands(command: Any, *words: str) -> Iterator[tuple[str, Any]]:
    """All commands, each with the words by which it is called."""
    if isinstance(command, TyperGroup):
        for name, part in command.commands.items():
            yield from commands(part, *words, name)
    else:
        yield " ".join(words), command


def every_command() -> dict[str, Any]:
    app = typer.Typer()
    for name in COMMANDS:
        import_module(f"signalflow.cli.{name}").register(app)
    return dict(commands(typer.main.get_command(app)))


EVERY_COMMAND = every_command()


@pytest.mark.parametrize("words", EVERY_COMMAND)
def test_a_command_prints_json_and_finds_the_stack_of_a_directory(words: str) -> None:
    options = {option for parameter in EVERY_COMMAND[words].params for option in parameter.opts}
    assert ("--json" in options) == (words not in PRINT_NO_DATA)
    assert ("--state-dir" in options) == (words not in LOOK_FOR_NO_STACK)


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "offered"), [("dl", "dlq"), ("topics ch", "check"), ("gaps --st", "--state-dir")])
def test_the_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    words = f"signalflow {typed}"
    completing = {
        "_SIGNALFLOW_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    program = Path(sys.executable).with_name("signalflow")
    done = subprocess.run([program], env=os.environ | completing, capture_output=True, text=True, timeout=60)
    assert offered in done.stdout.split(), done.stderr
