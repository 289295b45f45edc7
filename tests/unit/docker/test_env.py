"""`make env` makes every password, and only its owner can read them."""

import re
import runpy
from pathlib import Path

import pytest

from tests.unit.docker.compose import ROOT, made_env
from web.auth.tokens import weakness

MAKE_ENV = runpy.run_path(str(ROOT / "scripts" / "make_env.py"))


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_only_the_owner_can_read_the_file_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    MAKE_ENV["main"](file)
    first = file.read_text()
    file.chmod(0o644)
    MAKE_ENV["main"](file)
    assert file.read_text() == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [".env"]


def test_what_is_missing_is_added_and_what_was_chosen_stays() -> None:
    found = variables(MAKE_ENV["completed"]("API_SECRET=mine\nREDDIT_CONTACT=me@example.org"))
    assert found["API_SECRET"] == "mine"
    assert found.keys() == (made_env().keys() | {"REDDIT_CONTACT"}) - {
        "REDDIT_BASE_URL", "REDDIT_CLIENT_ID", "REDDIT_CLIENT_SECRET",
    }  # fmt: skip


def test_workers_get_the_secret_that_the_simulator_has() -> None:
    for text in ("", "SIMULATOR_SECRET=kept\n"):
        found = variables(MAKE_ENV["completed"](text))
        assert found["REDDIT_CLIENT_SECRET"] == found["SIMULATOR_SECRET"]


@pytest.mark.parametrize("name", MAKE_ENV["PASSWORDS"])
def test_a_password_is_random_long_and_needs_no_quoting(name: str) -> None:
    made = [made_env()[name] for _ in range(20)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[0-9a-f]{48}", one) and weakness(one) is None for one in made)


def test_a_cluster_id_is_one_that_kafka_takes() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", MAKE_ENV["cluster_id"]()) for _ in range(500))
