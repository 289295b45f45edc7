"""Follows the recipes of a document as a reader does: applies diffs to a copy of the tree, then runs commands there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The number of a revision, in the name of its module and in the module.
_REVISION = re.compile(r'(versions/r|revision = ")(\d{4})')
# What a command may need beside the packages.
COPIED = (
    *("signalflow", "agents", "tables", "web", "migrations", "tests", "docs", "scripts", "examples"),
    *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "Makefile"),
)


def recipes(document: str) -> dict[str, str]:
    """The text of each recipe by its title."""
    parts = re.split(r"^## (.+)\n", document, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(recipe: str, language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", recipe, flags=re.MULTILINE | re.DOTALL)


def copy_tree(copy: Path) -> None:
    """A copy of the project without what is built or fetched, and with what mypy knows of it already, if it ran."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
        else:
            shutil.copy(source, copy / name)
    with suppress(FileNotFoundError):
        shutil.copytree(ROOT / ".mypy_cache", copy / ".mypy_cache")


def follow(all_recipes: Iterable[str], tree: Path) -> None:
    """Apply the diffs of these recipes. The revisions that they add are numbered after the newest one of the tree."""
    diffs = [diff for recipe in all_recipes for diff in blocks(recipe, "diff")]
    newest = max(int(path.name[1:5]) for path in tree.glob("migrations/versions/r*.py"))
    added = [int(match[2]) for diff in diffs if (match := _REVISION.search(diff.partition("\n")[0]))]
    shift = newest + 1 - min(added, default=newest)
    for diff in diffs:
        is_revision = _REVISION.search(diff.partition("\n")[0])
        apply(_REVISION.sub(lambda match: f"{match[1]}{int(match[2]) + shift:04}", diff) if is_revision else diff, tree)


def apply(diff: str, tree: Path) -> None:
    """Change one file as a diff says. Raises AssertionError when the text of a hunk does not occur exactly once."""
    header, _, body = diff.partition("\n")
    path = tree / header.removeprefix("+++ ")
    for hunk in body.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        if not old:
            assert not path.exists(), f"{path} is there already"
            path.parent.mkdir(exist_ok=True)
            path.write_text(new, encoding="utf-8")
            continue
        assert path.exists(), f"{path} is missing"
        text = path.read_text(encoding="utf-8")
        assert f"\n{text}".count(f"\n{old}") == 1, f"not once in {path}:\n{old}"
        path.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:], encoding="utf-8")


def run(command: str, tree: Path) -> None:
    """Run a command of the virtual environment in the copy. Raises AssertionError with its output when it fails."""
    program, *arguments = command.split()
    # The copy comes before the installed project.
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [Path(sys.executable).with_name(Path(program).name), *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
