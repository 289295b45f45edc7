"""`signalflow config` before it reaches the database: help and wrong usage."""

import pytest
from typer import Typer
from typer.testing import CliRunner

from signalflow.cli import config


@pytest.fixture
def app() -> Typer:
    app = Typer()
    app.callback()(lambda: None)
    config.register(app)
    return app


@pytest.mark.parametrize("command", ["load", "list", "add", "pause", "resume", "remove", "priority", "tier"])
def test_every_command_has_help_and_json(app: Typer, command: str) -> None:
    result = CliRunner().invoke(app, ["config", command, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["add", "not a name"], "not the name of a subreddit"),
        (["pause", "python", "a+b"], "not the name of a subreddit"),
        (["add", "python", "--priority", "quick"], "fast"),
        (["add", "python", "--tier", "quick"], "fast"),
        (["priority", "python", "quick"], "fast"),
        (["add", "python", "--interval", "4"], "--interval"),
        (["load", "/no/such/file.csv"], "does not exist"),
        (["remove"], "NAME"),
    ],
)
def test_wrong_usage_is_refused_with_what_would_be_right(app: Typer, arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(app, ["config", *arguments])
    assert result.exit_code == 2
    assert named in result.output
