"""A counter exists from the start of its process: an alert on its increase would miss the first event otherwise."""

import subprocess
import sys
from inspect import isabstract
from typing import get_args

import pytest

from signalflow.domain import comment_planner, planner  # noqa: F401  they import every kind of fetch
from signalflow.domain.fetch import Fetch
from signalflow.metrics import API_REGISTRY, REDDIT_REQUEST_KINDS, REDDIT_REQUEST_OUTCOMES, REGISTRY
from signalflow.reddit.outcomes import Outcome

FAMILIES = sorted(
    (registry, family.name)
    for registry, collected in (("REGISTRY", REGISTRY), ("API_REGISTRY", API_REGISTRY))
    for family in collected.collect()
    # What clients ask for is not known before they ask.
    if family.type == "counter" and family.name != "signalflow_http_requests"
)
# What a new process shows once it knows the names of its topics. This process may have counted already.
SHOW = """
from signalflow import metrics
metrics.begin_topics(read=["raw", "enriched"], others=["changelog"])
for registry in ("REGISTRY", "API_REGISTRY"):
    for family in getattr(metrics, registry).collect():
        for sample in family.samples:
            print(registry, family.name, sample.name, sample.labels, sample.value)
"""


@pytest.fixture(scope="module")
def shown() -> list[str]:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(("registry", "counter"), FAMILIES)
def test_a_counter_has_its_series_before_its_first_event(shown: list[str], registry: str, counter: str) -> None:
    assert [line for line in shown if line.startswith(f"{registry} {counter} ")] != []


@pytest.mark.parametrize(
    "labels",
    [
        "{'kind': 'listing', 'outcome': 'blocked'}",
        "{'kind': 'refresh', 'outcome': 'rate_limited'}",
        "{'agent': 'sink'}",
        "{'topic': 'enriched', 'reason': 'log_cut'}",
        "{'topic': 'changelog'}",
        "{'reason': 'not_asked'}",
        "{'code': 'slow'}",
    ],
)
def test_a_series_that_an_alert_may_name_is_zero_at_first(shown: list[str], labels: str) -> None:
    values = {float(line.split()[-1]) for line in shown if f"_total {labels} " in line}
    assert values == {0.0}


def test_no_series_has_a_label_that_prometheus_gives_by_itself(shown: list[str]) -> None:
    # Prometheus renames ours to exported_job, and the rules would find nothing.
    assert [line for line in shown if "'job':" in line or "'instance':" in line] == []


def test_every_kind_of_request_has_its_series() -> None:
    def below(kind: type[Fetch]) -> list[type[Fetch]]:
        return [kind, *(each for child in kind.__subclasses__() for each in below(child))]

    # Other tests make classes of their own.
    ours = [fetch for fetch in below(Fetch) if fetch.__module__.startswith("signalflow.") and not isabstract(fetch)]
    assert {fetch.kind for fetch in ours} == set(REDDIT_REQUEST_KINDS)


def test_every_outcome_of_a_request_has_its_series() -> None:
    assert set(REDDIT_REQUEST_OUTCOMES) == set(get_args(Outcome))
