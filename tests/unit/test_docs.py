"""The documents say what is: tests, commands, targets, settings, metrics and files that they name exist."""

import ast
import re
import runpy
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from signalflow.cli.main import COMMANDS
from signalflow.metrics import API_REGISTRY, REGISTRY
from signalflow.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


@lru_cache
def functions_of(path: Path) -> frozenset[str]:
    """Names of the test functions of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def in_documents(pattern: str) -> list[str]:
    """What a pattern finds in all documents, each once."""
    return sorted({match for path in DOCUMENTS for match in re.findall(pattern, path.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("named", in_documents(r"`(tests/[^`]+::[^`]+)`"))
def test_every_test_that_a_document_names_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).is_file()
    assert name in functions_of(ROOT / path)


def test_every_failure_says_what_is_noticed_what_is_lost_and_which_test_shows_it() -> None:
    lines = [line for line in GUARANTEES.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {tuple(row) for row in rows if row[0] == "failure"} == {
        ("failure", "what you notice", "lost or repeated", "test")
    }
    for row in rows:
        assert len(row) == 4, row
        assert all(row), row
        assert row[0] == "failure" or re.fullmatch(r"`tests/\S+\.py::test_\w+`", row[3]), row


def test_the_settings_table_is_the_one_of_the_settings() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_settings_table.py"))
    assert script["with_table"](SETTINGS) == SETTINGS, "run: python scripts/make_settings_table.py"


@pytest.mark.parametrize("variable", in_documents(r"SIGNALFLOW_(?!TEST_)[A-Z][A-Z_]*[A-Z]"))
def test_every_variable_named_is_a_setting(variable: str) -> None:
    assert variable.removeprefix("SIGNALFLOW_").lower() in Settings.model_fields


@pytest.mark.parametrize("metric", in_documents(r"`(signalflow_[a-z_]+)`"))
def test_every_metric_named_is_counted(metric: str) -> None:
    families = [*REGISTRY.collect(), *API_REGISTRY.collect()]
    suffixes = {"counter": "_total", "info": "_info"}
    assert metric in {family.name + suffixes.get(family.type, "") for family in families}


@pytest.mark.parametrize("target", in_documents(r"\bmake ([a-z][a-z-]+)\b(?= *(?:`|UP_FLAGS|#|\n))"))
def test_every_make_target_named_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def cli() -> TyperGroup:
    app = typer.Typer()
    for name in COMMANDS:
        import_module(f"signalflow.cli.{name}").register(app)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


@pytest.mark.parametrize("line", in_documents(r"(?m)(?:^|`)signalflow ([a-z][^`\n]*)"))
def test_every_command_named_exists_with_its_options(cli: TyperGroup, line: str) -> None:
    command: Any = cli
    words = line.split("#")[0].split()
    while isinstance(command, TyperGroup) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert not isinstance(command, TyperGroup) or not words, f"no command {words[0]!r}"
    assert command is not cli
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def test_every_command_explains_itself(cli: TyperGroup) -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        if isinstance(command, TyperGroup):
            assert all(part.help for part in command.commands.values()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_printed_by_every_command(name: str) -> None:
    app = typer.Typer()
    import_module(f"signalflow.cli.{name}").register(app)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_links_or_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (document.parent / target).exists(), target
    for path in re.findall(r"`((?:signalflow|agents|tables|web|migrations|tests|docs|scripts)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_prose_have_at_most_120_characters(document: Path) -> None:
    # A line of a diff has one character more than the line of code.
    lines = re.sub(r"```diff.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith(("|", "<!--"))] == []


def test_the_licence_is_whole_and_vaders_notice_is_kept() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert "Copyright (c) 2016 C.J. Hutto" in (ROOT / "NOTICE").read_text(encoding="utf-8")
