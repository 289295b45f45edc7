"""Who installs the locked packages compiles nothing: each has a wheel. Where one has none, the README says so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# What uv calls the machine, and what has no wheel there.
MACHINES = {
    "x86_64-manylinux_2_28": set(),
    "aarch64-apple-darwin": set(),
    "aarch64-manylinux_2_28": {"faust-streaming"},
}
LACKS = re.compile(r"Because ([a-z0-9-]+)\S* has no usable wheels")


@pytest.mark.integration
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_locked_package_has_a_wheel(machine: str, python: str, tmp_path: Path) -> None:
    locked = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text())
    without: set[str] = set()
    while (missing := _without_a_wheel(locked, machine, python, tmp_path)) is not None:
        without.add(missing)
        locked = [each for each in locked if each.partition("==")[0] != missing]
    assert without == MACHINES[machine]


def _without_a_wheel(locked: list[str], machine: str, python: str, directory: Path) -> str | None:
    """The first of these packages for which an installation would have to compile; None when it would for none."""
    (directory / "locked.txt").write_text("\n".join(locked))
    ended = subprocess.run(
        [
            *(UV, "pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:", "--target", directory / "none"),
            *("--python-platform", machine, "--python-version", python, "--requirement", directory / "locked.txt"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if not ended.returncode:
        return None
    said = " ".join(ended.stderr.split())
    if "Failed to fetch" in said:
        pytest.skip(f"the package index does not answer: {said[:200]}")
    lacks = LACKS.search(said)
    assert lacks is not None, ended.stderr
    return lacks[1]


def test_the_readme_says_for_which_pythons_that_is_so() -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in readme
    assert all(name in readme for names in MACHINES.values() for name in names)
