"""docs/architecture.md against the code: paths, modules, and the picture of the packages."""

import re
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = TEXT.partition("```mermaid\n")[2].partition("```")[0]
TOP = ("signalflow", "agents", "tables", "web", "migrations", "tests", "docs", "scripts")


LABELS = dict(re.findall(r'(\w+)\["([\w.]+)"\]', PICTURE))
ARROWS = [
    (LABELS[importer], LABELS[imported])
    for importer, imported in re.findall(r"^ *(\w+)(?:\[[^]]*\])? --> (\w+)", PICTURE, flags=re.MULTILINE)
]


def closure() -> dict[str, set[str]]:
    """What each package may import: what its arrows lead to, directly or through other packages."""
    below = {package: {imported for importer, imported in ARROWS if importer == package} for package in LABELS.values()}
    for through, importer in product(below, repeat=2):
        if through in below[importer]:
            below[importer] |= below[through]
    return below


ALLOWED = closure()


@pytest.fixture(scope="module")
def imports() -> set[tuple[str, str]]:
    """Which package of the picture imports which other one, in the code."""
    graph = grimp.build_graph("signalflow", "agents", "tables", "web", cache_dir=None)

    def package_of(module: str) -> str | None:
        return max((p for p in ALLOWED if module == p or module.startswith(f"{p}.")), key=len, default=None)

    pairs = {
        (package_of(module), package_of(imported))
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    }
    return {(one, other) for one, other in pairs if one and other and one != other}


@pytest.mark.parametrize("path", sorted(set(re.findall(rf"`((?:{'|'.join(TOP)})/[\w./-]*)`", TEXT))))
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(rf"`((?:{'|'.join(TOP)})(?:\.\w+)+)`", TEXT))))
def test_every_module_exists(name: str) -> None:
    assert find_spec(name) is not None


def test_the_code_imports_nothing_that_the_picture_does_not_show(imports: set[tuple[str, str]]) -> None:
    assert sorted((importer, imported) for importer, imported in imports if imported not in ALLOWED[importer]) == []


def test_the_picture_shows_no_arrow_without_an_import(imports: set[tuple[str, str]]) -> None:
    assert sorted(set(ARROWS) - imports) == []


def test_the_picture_has_no_circle() -> None:
    assert [package for package, imported in ALLOWED.items() if package in imported] == []
