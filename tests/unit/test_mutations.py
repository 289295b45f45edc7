"""Each defect of tests/chaos/mutations still fits the code, and the tests that catch it exist."""

from pathlib import Path

import pytest

from tests.chaos.mutations.defects import DEFECTS, Defect
from tests.unit.test_docs import functions_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_fits_the_code_and_names_tests_that_exist(defect: Defect) -> None:
    assert (ROOT / defect.path).read_text(encoding="utf-8").count(defect.old) == 1
    tests = defect.caught_by + defect.caught_with_servers
    assert tests
    for path, _, name in (test.partition("::") for test in tests):
        assert name in functions_of(ROOT / path)
