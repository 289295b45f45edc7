"""`signalflow up --detach`: how the process that stays is started."""

from pathlib import Path
from typing import Any

import pytest

from signalflow.cli import up
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
