"""The secret of a local stack."""

from pathlib import Path

from signalflow.local.parts import Part
from signalflow.local.secret import own_secret
from signalflow.local.stack import Stack, StackOptions
from signalflow.settings import Settings
from web.auth.tokens import weakness


def test_the_secret_is_strong_kept_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    secret = own_secret(directory)
    assert weakness(secret) is None
    assert own_secret(directory) == secret
    assert (directory / "api_secret").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    assert own_secret(tmp_path / "another") != secret


def environments(stack: Stack) -> dict[str, str | None]:
    parts = [part for stage in stack.stages([]) for part in stage if isinstance(part, Part)]
    own = [part for part in parts if part.name in ("simulator", "api", "worker-1")]
    return {part.name: part.launch().env.get("SIGNALFLOW_API_SECRET") for part in own}


def test_only_the_api_gets_the_secret(tmp_path: Path) -> None:
    secrets = environments(Stack(StackOptions(tmp_path, port_base=20_000), Settings()))
    assert secrets == {"simulator": None, "api": own_secret(tmp_path), "worker-1": None}


def test_a_secret_in_the_settings_is_used_instead(tmp_path: Path) -> None:
    given = own_secret(tmp_path / "given")
    stack = Stack(StackOptions(tmp_path, port_base=20_000), Settings(api_secret=given))  # type: ignore[arg-type]
    assert environments(stack)["api"] == given
    assert not (tmp_path / "api_secret").exists()
