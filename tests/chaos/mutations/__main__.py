"""`python -m tests.chaos.mutations`: put each defect into a copy of the project and check that its named tests fail.

Exit status 1 when a test passes with its defect, or fails without any defect.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.mutations.defects import DEFECTS, Defect
from tests.recorded_data import VARIABLE, recorded_data

ROOT = Path(__file__).parents[3]
PACKAGES = ("signalflow", "agents", "tables", "web", "migrations", "tests", "docs", "scripts")
FILES = ("pyproject.toml", "README.md")


def main(
    servers: Annotated[
        bool, typer.Option("--servers", help="Also run the tests that need Kafka or PostgreSQL.")
    ] = False,
    only: Annotated[str, typer.Option(help="Only the defects whose name contains this.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show that the tests catch each of the known defects. Takes a minute; with --servers ten."""
    console = Console(stderr=True)
    rows: list[dict[str, Any]] = []
    chosen = [defect for defect in DEFECTS if only in defect.name]
    with tempfile.TemporaryDirectory(prefix="signalflow-mutations-") as directory, console.status("copying") as status:
        copy = Path(directory)
        _copy_to(copy)
        status.update("without any defect")
        tests = sorted({test for defect in chosen for test in tests_of(defect, servers=servers)})
        sound = _failed(copy, tests)
        for defect in chosen:
            status.update(defect.name)
            expected = tests_of(defect, servers=servers)
            with _put_into(copy, defect):
                failed = _failed(copy, list(expected))
            rows += [{"defect": defect.name, "test": test, "caught": test in failed} for test in expected]
    if as_json:
        print(json.dumps({"failing_without_defect": sound, "defects": rows}, indent=2))
    else:
        console.print(_table(rows))
    if sound:
        console.print(f"[red]fails without any defect:[/] {sound}")
    if sound or not all(row["caught"] for row in rows):
        raise typer.Exit(1)


def tests_of(defect: Defect, *, servers: bool) -> tuple[str, ...]:
    """The tests that must catch a defect."""
    return defect.caught_by + (defect.caught_with_servers if servers else ())


def _copy_to(copy: Path) -> None:
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)


@contextmanager
def _put_into(copy: Path, defect: Defect) -> Iterator[None]:
    """The copy has the defect inside the block."""
    path = copy / defect.path
    text = path.read_text(encoding="utf-8")
    if text.count(defect.old) != 1:
        raise typer.BadParameter(f"{defect.path} must contain the code that {defect.name!r} replaces exactly once")
    path.write_text(text.replace(defect.old, defect.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def _failed(copy: Path, tests: list[str]) -> list[str]:
    """The names of those `tests` that fail in the copy, without parameters, each once."""
    if not tests:
        return []
    # The copy comes before the installed project, also for the workers that tests start.
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        VARIABLE: str(recorded_data()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--no-header", "--tb=no", *tests]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise typer.BadParameter(f"pytest cannot run {tests}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = (line.removeprefix("FAILED ") for line in done.stdout.splitlines() if line.startswith("FAILED "))
    return sorted({line.partition(" - ")[0].partition("[")[0] for line in failed})


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("defect", "test", "caught")
    for row in rows:
        table.add_row(row["defect"], row["test"].rpartition("/")[2], "yes" if row["caught"] else "[red]NO[/]")
    return table


if __name__ == "__main__":
    typer.run(main)
