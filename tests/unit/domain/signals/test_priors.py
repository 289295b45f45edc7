"""What is shipped about all subreddits."""

import json
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from signalflow.domain.signals.priors import Curve, Forecasts, Priors, interpolated, read_priors, shipped

ROOT = Path(__file__).parents[4]
SHIPPED = ROOT / "signalflow" / "data" / "signals.json"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "make_signal_priors.py"))


def test_higher_places_have_higher_scores_and_scores_grow_with_age() -> None:
    curve = shipped().curve
    for row in curve.log_scores:
        assert all(lower < higher for lower, higher in pairwise(row))
    for younger, older in pairwise(curve.log_scores):
        assert all(before <= after + 0.02 for before, after in zip(younger, older, strict=True))


def test_the_hours_of_a_day_have_the_mean_activity_together() -> None:
    assert sum(shipped().activity) == pytest.approx(24.0, abs=0.02)


def test_every_part_of_the_file_is_read() -> None:
    document = {
        "version": 1,
        "activity": [0.5, 1.5],
        "curve": {"ages": [10.0, 20.0], "normals": [-1.0, 1.0], "log_scores": [[0.1, 0.2], [0.3, 0.4]]},
        "forecasts": {
            "ages": [30.0],
            "weights": [[1.0, 2.0, 3.0, 4.0]],
            "unaided": [[5.0, 6.0, 7.0]],
            "base": -2.5,
            "slope": 1.25,
            "target": 2.33,
        },
    }
    assert read_priors(document) == Priors(
        (0.5, 1.5),
        Curve((10.0, 20.0), (-1.0, 1.0), ((0.1, 0.2), (0.3, 0.4))),
        Forecasts((30.0,), ((1.0, 2.0, 3.0, 4.0),), ((5.0, 6.0, 7.0),), -2.5, 1.25, 2.33),
    )


def test_a_file_of_another_version_is_refused() -> None:
    document = json.loads(SHIPPED.read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match="version 2"):
        read_priors(document | {"version": 2})


def test_between_two_ages_a_row_is_interpolated_by_their_logarithms() -> None:
    rows = ((0.0, 10.0), (1.0, 30.0))
    assert interpolated((10.0, 1_000.0), rows, 100.0) == pytest.approx([0.5, 20.0])


def test_least_squares_and_log_odds_find_what_made_the_numbers(script: dict[str, Any]) -> None:
    rows = [(1.0, float(x), float(x * x % 7)) for x in range(50)]
    weights, deviation = script["least_squares"](rows, [2.0 - 0.5 * x + 3.0 * y for _, x, y in rows])
    assert weights == pytest.approx([2.0, -0.5, 3.0], abs=1e-3)
    assert deviation < 1e-2

    # Of four posts at x = 0 one came true, of four at x = 1 three: log odds of -log 3 and log 3.
    base, slope = script["logistic"]([0.0] * 4 + [1.0] * 4, [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    assert (base, slope) == pytest.approx((-1.0986123, 2.1972246))


@pytest.mark.slow
def test_the_script_makes_the_file_that_is_shipped(script: dict[str, Any]) -> None:
    assert json.dumps(script["document"](2.0), indent=1) + "\n" == SHIPPED.read_text(encoding="utf-8")
