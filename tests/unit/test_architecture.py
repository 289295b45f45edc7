"""docs/architecture.md and docs/recipes.md against the code: paths, modules, the picture of the packages, recipes."""

import re
import tomllib
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import grimp
import pytest

from tests.unit import recipes

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RECIPES = recipes.recipes((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"))
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


def test_no_arrow_points_up_in_the_layers_of_import_linter() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in configuration["tool"]["importlinter"]["contracts"]
        if contract["name"] == "dependencies point one way"
    ]
    heights = {package: -depth for depth, layer in enumerate(layers) for package in layer.split(" | ")}
    drawn = [(one, other) for one, other in ARROWS if one in heights and other in heights]
    assert len(drawn) > 10
    assert [(one, other) for one, other in drawn if heights[one] <= heights[other]] == []


def test_the_picture_has_no_circle() -> None:
    assert [package for package, imported in ALLOWED.items() if package in imported] == []


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which all recipes were followed."""
    copy = tmp_path_factory.mktemp("recipes") / "signalflow"
    recipes.copy_tree(copy)
    recipes.follow(RECIPES.values(), copy)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_passes_its_own_checks(title: str, tree: Path) -> None:
    for commands in recipes.blocks(RECIPES[title], "sh"):
        for command in commands.splitlines():
            if "tests/integration" not in command:
                recipes.run(command, tree)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy", "lint-imports"])
def test_what_the_recipes_make_passes_the_linters(command: str, tree: Path) -> None:
    recipes.run(command, tree)
