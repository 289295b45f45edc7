"""The list of mutants that stay: what its rows mean, and that the functions that they name exist."""

import ast
import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "mutants.py"), run_name="mutants")
Row, Survivor = SCRIPT["Row"], SCRIPT["Survivor"]
ROWS = list(SCRIPT["rows_of"]((ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")))


def functions_and_methods(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{each.name}" for each in node.body if hasattr(each, "name"))
        elif hasattr(node, "name"):
            yield node.name


@pytest.mark.slow
def test_every_row_of_the_document_names_functions_that_exist() -> None:
    assert ROWS
    for row in ROWS:
        names = functions_and_methods(ROOT / (row.module.replace(".", "/") + ".py"))
        assert any(SCRIPT["matches"](row.function, name) for name in names), row


def test_a_row_is_read_below_the_heading_of_its_module() -> None:
    document = (
        "# Title\n### web.live\n| Function | Mutant |\n| --- | --- |\n| `A.b` | `x \\| 1 => *` | Reason \\| more |\n"
    )
    assert list(SCRIPT["rows_of"](document)) == [Row("web.live", "A.b", "x | 1 => *", "Reason \\| more")]


@pytest.mark.parametrize(
    ("servers", "listed", "status"), [(0, 5, 0), (1, 0, 0), (2, 0, 1)], ids=["no difference", "few", "many"]
)
def test_what_only_servers_notice_is_not_noticed_by_the_fast_tests(servers: int, listed: int, status: int) -> None:
    assert Row("m", "f", "*", "Servers: test_x").makes_a_difference
    assert not Row("m", "f", "*", "No difference: it is set later").makes_a_difference
    assert SCRIPT["report"]({"m": Counter(killed=9, servers=servers, listed=listed)}, []) == status


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (Row("m", "A.b", "if x < [1]: => if x <= [1]:"), True),
        (Row("m", "A.*", "*=> if x <= *"), True),
        (Row("m", "A.b", "if x < [1]:"), False),
        (Row("m", "A", "*"), False),
        (Row("n", "A.b", "*"), False),
    ],
)
def test_a_row_lists_only_the_survivors_that_it_describes(row: Any, fits: bool) -> None:
    diff = "--- m.py\n+++ m.py\n@@ -1,2 +1,2 @@\n def b(x):\n-    if x < [1]:\n+    if x <= [1]:"
    module, function = SCRIPT["function_of"]("m.xǁAǁb__mutmut_12")
    assert row.fits(Survivor(module, function, SCRIPT["change_of"](diff))) is fits


def test_the_function_of_a_mutant_is_named_as_in_the_code() -> None:
    assert SCRIPT["function_of"]("signalflow.domain.gaps.x__due__mutmut_3") == ("signalflow.domain.gaps", "_due")
    assert SCRIPT["function_of"]("a.xǁGapsǁ__init____mutmut_3") == ("a", "Gaps.__init__")


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"a": {"killed": 90, "survived": 10}}, 0),
        ({"a": {"killed": 89, "timeout": 1, "survived": 11}, "b": {"killed": 900}}, 1),
        ({"a": {"killed": 1, "servers": 99}, "b": {"killed": 900, "listed": 500}}, 0),
        ({"a": {"killed": 1, "servers": 101}, "b": {"killed": 900}}, 1),
        ({"a": {"listed": 3}}, 0),
    ],
)
def test_the_status_tells_whether_enough_is_noticed_in_all_and_in_each_module(
    counts: dict[str, dict[str, int]], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert SCRIPT["report"]({name: Counter(count) for name, count in counts.items()}, []) == status
    assert capsys.readouterr().out.splitlines()[-1].startswith("all ")
