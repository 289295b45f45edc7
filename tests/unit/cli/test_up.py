"""`signalflow up --detach`: how the process that stays is started."""

from pathlib import Path
from typing import Any

import pytest

from signalflow.cli import up
from signalflow.cli.main import main
from signalflow.local.stack import Stack
from signalflow.local.state import StateDir

URL = "postgresql://someone:hush-hush@host/db"


class Started(Exception):
    """The process was started with these arguments and this environment."""


@pytest.mark.parametrize("option", [["--database-url", URL], [f"--database-url={URL}"]])
def test_a_password_is_handed_on_in_the_environment_and_not_in_arguments(
    option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(arguments: list[str], env: dict[str, str], **_: Any) -> None:
        raise Started(arguments, env)

    monkeypatch.setattr(up.subprocess, "Popen", start)
    monkeypatch.setattr("sys.argv", ["signalflow", "up", "--detach", *option, "--workers", "2"])
    with pytest.raises(Started) as started:
        up._start_detached(StateDir(tmp_path), URL)
    arguments, environment = started.value.args
    assert arguments[-4:-1] == ["up", "--workers", "2"]
    assert "hush-hush" not in " ".join(arguments)
    assert environment["SIGNALFLOW_DATABASE_URL"] == URL


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--source", "feeds"], "--contact"),
        (["--source", "feeds", "--contact", "x"], "SIGNALFLOW_REDDIT_CONTACT"),
        (["--source", "api"], "SIGNALFLOW_REDDIT_CLIENT_ID"),
        (["--source", "rss"], "feeds"),
        (["--contact", "you@example.org"], "--source feeds"),
    ],
)
def test_a_source_that_lacks_something_is_refused_with_the_remedy_and_nothing_starts(
    arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "state"
    monkeypatch.setattr("sys.argv", ["signalflow", "up", "--state-dir", str(directory), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert named in capfd.readouterr().err
    assert not directory.exists()


def test_the_source_and_the_contact_are_options_and_win_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: list[Stack] = []
    monkeypatch.setattr(up, "_run", lambda stack, *_, **__: stacks.append(stack))
    monkeypatch.setattr(Stack, "check_ports", lambda _: None)
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CLIENT_ID", "id")
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CLIENT_SECRET", "secret")
    options = ["--source", "feeds", "--contact", "you@example.org", "--state-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["signalflow", "up", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    settings = stacks[0].effective_settings()
    assert (settings.reddit_source, settings.reddit_contact) == ("feeds", "you@example.org")
    assert stacks[0].simulator_url is None
