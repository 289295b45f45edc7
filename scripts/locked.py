"""Print a part of requirements.lock, with its hashes: `locked.py` what the program needs when it runs, `locked.py uv
setuptools` these packages alone.

The lock has every package of every extra. Its comments `# via` say which packages ask for which, so the part needs no
index. It has too much rather than too little: a package stays if any package that stays asks for it, under whatever
extra. Needs nothing but Python, since an image is built with it before anything is installed.
"""

import re
import sys
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = "signalflow (pyproject.toml)"


@dataclass(frozen=True)
class Locked:
    """One entry of the lock. A package may have several, for different versions of Python."""

    name: str
    text: str
    wanted_by: frozenset[str]


def entries(lock: str) -> list[Locked]:
    """The entries of a lock as `uv pip compile` writes it."""
    found = []
    for text in re.split(r"(?m)^(?=[^\s#])", lock)[1:]:
        comment = text.partition("# via")[2]
        wanted_by = (line.strip(" #") for line in comment.splitlines())
        name = re.split(r"[=\[ ;]", text, maxsplit=1)[0]
        found.append(Locked(normalized(name), text, frozenset(one for one in wanted_by if one)))
    return found


def normalized(name: str) -> str:
    """A package's name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(locked: Sequence[Locked], direct: Collection[str]) -> list[Locked]:
    """The entries of these packages, which the project asks for, and of all that they ask for."""
    kept: set[str] = set()
    while True:
        more = {
            one.name
            for one in locked
            if one.name not in kept
            and ((OURS in one.wanted_by and one.name in direct) or not kept.isdisjoint(one.wanted_by))
        }
        if not more:
            return [one for one in locked if one.name in kept]
        kept |= more


def direct_dependencies(project: str) -> set[str]:
    """The names that [project] dependencies of a pyproject.toml has, without extras and versions."""
    written = tomllib.loads(project)["project"]["dependencies"]
    return {normalized(re.split(r"[^\w.-]", one, maxsplit=1)[0]) for one in written}


def main(names: Sequence[str]) -> str:
    """The part of the lock. Raises SystemExit for a name that it does not have."""
    locked = entries((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    known = {one.name for one in locked}
    wanted = {normalized(name) for name in names} or direct_dependencies((ROOT / "pyproject.toml").read_text())
    if missing := wanted - known:
        raise SystemExit(f"requirements.lock does not have {', '.join(sorted(missing))}: run `make lock`")
    part = [one for one in locked if one.name in wanted] if names else needed(locked, wanted)
    return "".join(one.text for one in part)


if __name__ == "__main__":
    print(main(sys.argv[1:]), end="")
