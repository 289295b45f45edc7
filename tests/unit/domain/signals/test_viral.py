"""The model of whether a post takes off."""

import runpy
from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any

import pytest

from signalflow.domain.signals.viral import (
    ObservedPost,
    Term,
    TypicalPeaks,
    ViralModel,
    missing,
    read_input,
    read_models,
    sigmoid,
    viral_models,
    write_models,
)
from tests.recorded_data import recorded_data

ROOT = Path(__file__).parents[4]
SNAPSHOTS = recorded_data() / "hourly_top100.csv.gz"
NOON = 1_703_937_600
OBSERVED = ObservedPost("Pics", NOON - 7200, NOON, score=7200, comments=719, ratio=0.92)
PEAKS = TypicalPeaks(log(5000), {"pics": log(20_000)})
# A velocity of 1/s, a tenth of a comment per point, noon.
MODEL = ViralModel(
    -1.0,
    {
        "log_velocity": Term(2.0, -1.0),
        "log_comments_per_point": Term(-0.5, log(0.2)),
        "log_typical_peak": Term(1.0, log(10_000)),
        "hour_sine": Term(3.0, 0.0),
        "hour_cosine": Term(-0.25, 0.0),
    },
    PEAKS,
)


def test_the_probability_is_the_one_of_the_formula() -> None:
    log_odds = -1.0 + 2.0 * 1.0 + 0.5 * log(2) + log(2) + 0.25
    assert MODEL.judge(OBSERVED).probability == pytest.approx(1 / (1 + exp(-log_odds)))


def test_each_input_is_named_with_its_value_and_what_it_adds() -> None:
    told = {part.input: (part.value, part.log_odds) for part in MODEL.judge(OBSERVED).contributions}
    assert list(told) == ["velocity", "comments", "subreddit", "hour"]
    assert told["velocity"] == pytest.approx((1.0, 2.0))
    assert told["comments"] == pytest.approx((719 / 7200, 0.5 * log(2)))
    assert told["subreddit"] == pytest.approx((20_000, log(2)))
    assert told["hour"] == pytest.approx((12.0, 0.25))


@pytest.mark.parametrize(
    ("name", "post", "value", "terms"),
    [
        ("age", OBSERVED, 7200, [log(7200)]),
        ("ratio", OBSERVED, 0.92, [log(1.02 - 0.92)]),
        ("subreddit", OBSERVED, 5000, [log(5000)]),
        ("velocity", replace(OBSERVED, score=0), 0.0, [log(1 / 7200)]),
        ("velocity", replace(OBSERVED, score=1), 1 / 7200, [log(1 / 7200)]),
        ("comments", replace(OBSERVED, score=-5, comments=3), 3, [log(4)]),
    ],
)
def test_an_input_is_what_a_person_names_and_its_terms(
    name: str, post: ObservedPost, value: float, terms: list[float]
) -> None:
    told, numbers = read_input(name, post, log(5000))
    assert told == pytest.approx(value)
    assert numbers == pytest.approx(terms)


def test_all_inputs_that_are_unknown_are_named() -> None:
    unknown = replace(OBSERVED, created=OBSERVED.observed - 1, score=None, comments=None, ratio=None)
    assert set(missing(unknown)) == {"age", "velocity", "comments", "ratio"}


def test_a_document_of_models_has_rounded_numbers_and_is_read_as_they_are() -> None:
    rough = ViralModel(
        -1.23456789, {"log_velocity": Term(2.00000049, -0.12345678)}, TypicalPeaks(8.51719319, {"b": 1.0, "a": 2.5})
    )
    document = write_models({"top": rough}, origin="a test")
    assert document == {
        "version": document["version"],
        "origin": "a test",
        "targets": {"top": {"base": -1.234568, "terms": {"log_velocity": {"weight": 2.0, "centre": -0.123457}}}},
        "log_typical_peak": {"of_all": 8.517193, "of": {"a": 2.5, "b": 1.0}},
    }
    assert list(document["log_typical_peak"]["of"]) == ["a", "b"]
    peaks = TypicalPeaks(8.517193, {"a": 2.5, "b": 1.0})
    assert read_models(document) == {"top": ViralModel(-1.234568, {"log_velocity": Term(2.0, -0.123457)}, peaks)}


@pytest.mark.parametrize("target", ["top_10", "peak_20000"])
def test_base_and_contributions_of_the_shipped_models_give_their_probability(target: str) -> None:
    viral = viral_models()[target].judge(OBSERVED)
    assert viral.probability == pytest.approx(sigmoid(viral.base + sum(part.log_odds for part in viral.contributions)))


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"score": None}, ("velocity", "comments")),
        ({"comments": None}, ("comments",)),
        ({"score": None, "comments": None, "ratio": None}, ("velocity", "comments", "ratio")),
        ({"ratio": None}, ("ratio",)),
        ({"created": NOON - 899}, ("age",)),
        ({"created": NOON - 10_801}, ("age",)),
    ],
)
def test_what_is_unknown_gives_no_probability_and_is_named(change: dict[str, Any], unknown: tuple[str, ...]) -> None:
    viral = viral_models()["top_10"].judge(replace(OBSERVED, **change))
    assert viral.probability is None
    assert viral.unknown == unknown
    assert viral.contributions == ()


def test_what_a_model_does_not_look_at_may_be_unknown() -> None:
    assert MODEL.judge(replace(OBSERVED, ratio=None)) == MODEL.judge(OBSERVED)


@pytest.mark.parametrize("age", [900, 10_800])
def test_the_ages_that_were_learnt_are_judged(age: int) -> None:
    assert viral_models()["top_10"].judge(replace(OBSERVED, created=NOON - age)).probability is not None


@pytest.mark.parametrize("score", [0, -3])
def test_a_score_below_one_counts_as_one(score: int) -> None:
    below, one = MODEL.judge(replace(OBSERVED, score=score)), MODEL.judge(replace(OBSERVED, score=1))
    assert below.probability == one.probability
    assert below.contributions[0].value == score / 7200


def test_a_subreddit_that_was_not_seen_has_the_peak_of_all_and_case_does_not_count() -> None:
    assert PEAKS.log_peak("PICS") == log(20_000)
    assert PEAKS.log_peak("new_here") == log(5000)


@pytest.mark.parametrize("target", ["top_10", "peak_20000"])
def test_a_faster_post_is_more_probable_to_take_off(target: str) -> None:
    model = viral_models()[target]
    told = [model.judge(replace(OBSERVED, score=score)).probability for score in (600, 1200, 2400, 4800, 9600)]
    assert None not in told
    assert told == sorted(set(told), key=lambda value: value or 0.0)


def test_the_same_hour_of_another_day_is_the_same() -> None:
    later = replace(OBSERVED, created=OBSERVED.created + 86_400, observed=OBSERVED.observed + 86_400)
    assert MODEL.judge(later).probability == MODEL.judge(OBSERVED).probability


@pytest.mark.parametrize("log_odds", [-1e4, 1e4])
def test_very_large_log_odds_are_certain_and_no_error(log_odds: float) -> None:
    assert sigmoid(log_odds) == float(log_odds > 0)


def test_a_file_of_coefficients_is_read_as_it_was_written() -> None:
    document = write_models({"top_10": MODEL}, origin="here", digits=15)
    assert read_models(document)["top_10"].judge(OBSERVED).probability == pytest.approx(
        MODEL.judge(OBSERVED).probability
    )


def test_coefficients_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version 2, not 1"):
        read_models({**write_models({"top_10": MODEL}, origin="here"), "version": 2})


@pytest.mark.slow
@pytest.mark.skipif(not SNAPSHOTS.exists(), reason="the recorded snapshots are not here")
def test_the_shipped_coefficients_are_those_that_the_script_makes() -> None:
    script: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "make_viral_model.py"))
    shipped = (ROOT / "signalflow" / "data" / "viral.json").read_text(encoding="utf-8")
    origin = shipped.split('"origin": "')[1].split('",\n')[0].replace('\\"', '"')
    assert script["viral_document"](SNAPSHOTS, origin) == shipped
