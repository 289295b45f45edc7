"""docs/adding-a-source.md names each module on the way of a comment, from Reddit to its table."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "adding-a-source.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:signalflow|agents)/[\w/]+\.py)`", TEXT)))
# What is between Reddit and the table.
PLACES = (
    *("signalflow/events.py", "signalflow/enrichment.py", "signalflow/schemas.py", "signalflow/application.py"),
    *("signalflow/domain", "signalflow/kafka", "signalflow/reddit", "signalflow/storage", "agents"),
)
# Whoever uses one of these knows comments.
TYPES = {"Comment", "CommentEnvelope", "EnrichedComment", "FoundComment", "CommentPage", "CommentPorts", "comments_raw"}


def names_in(path: Path) -> set[str]:
    """What a module imports, defines, and asks objects for."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def modules() -> list[Path]:
    places = [ROOT / place for place in PLACES]
    return sorted(path for place in places for path in ([place] if place.is_file() else place.rglob("*.py")))


KNOWING = [
    str(path.relative_to(ROOT)) for path in modules() if "comment" in path.name or not TYPES.isdisjoint(names_in(path))
]


def test_the_search_finds_the_path() -> None:
    assert {"signalflow/events.py", "agents/comments.py", "signalflow/reddit/client.py"} < set(KNOWING)


@pytest.mark.parametrize("module", KNOWING)
def test_a_module_that_knows_comments_is_named(module: str) -> None:
    assert module in NAMED


@pytest.mark.parametrize("module", NAMED)
def test_a_module_that_is_named_speaks_of_comments_or_serves_every_kind(module: str) -> None:
    serves_every_kind = {"agents/storing.py", "signalflow/positions/stored_topic.py"}
    text = (ROOT / module).read_text(encoding="utf-8")
    assert module in serves_every_kind or "comment" in text.lower()
