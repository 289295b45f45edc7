"""Change one operator or value of the code at a time, run the fast tests, and tell how many changes they notice.

python scripts/mutants.py [signalflow.domain.refresh ...]: without a module, all modules of [tool.mutmut] in
pyproject.toml. Prints each survivor that docs/mutants.md does not list, and the rates. Exits with status 1 if the tests
notice less than 90 % of all changes that make a difference, or of those of a module that tests without servers can see.
"""

import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# mutmut knows no other place for the mutated code and its results.
WORK = Path("mutants")
DOCUMENT = ROOT / "docs" / "mutants.md"
MIN_RATE = 0.9
# A test that fails, one that never ends, and a process that dies all tell of the change.
NOTICED = {"killed", "timeout", "segfault"}


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: its module, its function, and "old lines => new lines"."""

    module: str
    function: str
    change: str


@dataclass(frozen=True)
class Row:
    """A row of docs/mutants.md, which tells why mutants of a function stay. "*" stands for any text."""

    module: str
    function: str
    change: str
    reason: str = ""

    @property
    def makes_a_difference(self) -> bool:
        """Whether a test could notice the mutant: one with real servers does."""
        return self.reason.startswith("Servers")

    def fits(self, survivor: Survivor) -> bool:
        return (
            survivor.module == self.module
            and matches(self.function, survivor.function)
            and matches(self.change, survivor.change)
        )


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which "*" stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def rows_of(document: str) -> Iterator[Row]:
    """The rows of the tables below a heading that names a module: `### signalflow.domain.budget`."""
    module = ""
    for line in document.splitlines():
        if line.startswith("#"):
            module = line.lstrip("# ")
        elif line.startswith("| `"):
            # A line of code may hold the separator of the columns, which Markdown then escapes.
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"), maxsplit=2)
            function, change, reason = (cell.strip() for cell in cells)
            yield Row(module, function.strip("`"), change.strip("`").replace(r"\|", "|"), reason)


def change_of(diff: str) -> str:
    """The lines that a mutant removes and adds, without their indent: "old => new"."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return f"{old} => {new}"


def function_of(mutant: str) -> tuple[str, str]:
    """The module and the function in a mutant's name, such as signalflow.domain.gaps.xǁGapsǁopen__mutmut_3."""
    module, _, name = mutant.partition("__mutmut_")[0].rpartition(".")
    return module, name.removeprefix("x_") if name.startswith("x_") else name.removeprefix("xǁ").replace("ǁ", ".")


def main(modules: list[str]) -> int:
    os.chdir(ROOT)
    # mutmut keeps results by code, not by tests.
    shutil.rmtree(WORK, ignore_errors=True)
    # mutmut reads an attribute that pytest has no more.
    pytest.Item._nodeid = property(attrgetter("nodeid"))  # type: ignore[attr-defined]
    # These need the working directory.
    from mutmut.__main__ import cli, get_diff_for_mutant, status_by_exit_code, walk_mutatable_files
    from mutmut.mutation.data import SourceFileMutationData

    cli.main(["run", *(f"{module}.*" for module in modules)], standalone_mode=False)

    rows = list(rows_of(DOCUMENT.read_text(encoding="utf-8")))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    used: set[Row] = set()
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        for mutant, exit_code in data.exit_code_by_key.items():
            status = status_by_exit_code[exit_code]
            module, function = function_of(mutant)
            if status == "not checked":
                continue
            if status not in NOTICED:
                survivor = Survivor(module, function, change_of(get_diff_for_mutant(mutant, path=path)))
                fitting = {row for row in rows if row.fits(survivor)}
                used |= fitting
                status = "listed" if fitting else "survived"
                if any(row.makes_a_difference for row in fitting):
                    status = "servers"
                if not fitting:
                    print(f"{module} {function}: {survivor.change}")
            counts[module][status] += 1
    return report(counts, [row for row in rows if row.module in counts and row not in used])


def report(counts: dict[str, Counter[str]], unused: list[Row]) -> int:
    """Print the figures by module, and return the exit status."""
    for row in unused:
        print(f"listed, but no such mutant survives: {row.module} {row.function}: {row.change}")
    print(f"{'module':40}   noticed (timeout)  survived   servers    listed    rate")
    for module, count in counts.items():
        show(module, count)
    total = sum(counts.values(), Counter[str]())
    show("all", total)
    seen_without_servers = (rate(count, with_servers=False) for count in counts.values())
    return int(min(rate(total, with_servers=True), *seen_without_servers) < MIN_RATE)


def show(name: str, count: Counter[str]) -> None:
    """Print the figures of a module, or of all."""
    figures = (noticed_of(count), count["timeout"], count["survived"], count["servers"], count["listed"])
    print(f"{name:40} {' '.join(f'{figure:9}' for figure in figures)} {rate(count, with_servers=True):7.1%}")


def noticed_of(count: Counter[str]) -> int:
    """How many mutants the tests noticed."""
    return sum(count[name] for name in NOTICED)


def rate(count: Counter[str], *, with_servers: bool) -> float:
    """The share of the mutants that make a difference which the tests noticed; 1 if there is none.

    `with_servers`: those count, too, that only a test with real servers notices, as not noticed.
    """
    noticed = noticed_of(count)
    made = noticed + count["survived"] + (count["servers"] if with_servers else 0)
    return noticed / made if made else 1.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
