"""Signals compared with the logs: what was lost, repeated or changed on the way is told, and nothing else."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.signals import subreddit
from signalflow.domain.signals.tails import count_sigmas
from signalflow.signal_detection import Baseline, Detector, outgoing
from signalflow.signal_events import SignalInput
from signalflow.verify.report import TableReport
from signalflow.verify.signals import REFUSED, SignalOracle, SignalTopic, Told, compare_signals, of_this_rule
from tests.unit.streams.fakes import Record
from tests.unit.test_signal_detection import given_input, in_order, logged, raw_logs, record

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL: dict[int, int] = {0: 1 << 40}


def sent(log: Sequence[Record]) -> list[Record]:
    """The topic of signals after the pipeline has read this log."""
    known: Baseline | None = None
    records: list[Record] = []
    for each in log:
        found = Detector(in_order).detect(each, lambda key: known)  # noqa: B023, called at once
        known = found.baseline or known
        for signal in found.signals:
            out = outgoing(signal, each)
            records.append(Record(len(records), "signals", key=out.key, value=out.value))
    return records


def topic_of(records: Sequence[Record], stored: dict[int, int] = ALL, aside: Any = ()) -> SignalTopic:
    topic = SignalTopic()
    for each in records:
        topic.take(each, stored, aside)
    return topic


def judged(
    log: Sequence[Record], signals: Sequence[Record], done: dict[int, int] = ALL, aside: Any = None
) -> TableReport:
    """The topic of signals compared with what this log of inputs gives."""
    oracle = SignalOracle(topic_of(signals), in_order)
    for each in log:
        oracle.take(each, done, aside or {})
    return oracle.table


@given(raw_logs, st.data())
def test_what_the_pipeline_sends_is_what_the_log_gives_also_after_repetitions(
    inputs: list[SignalInput], data: st.DataObject
) -> None:
    again = data.draw(st.integers(0, len(inputs)))
    log = logged([*inputs, *inputs[again:]])
    signals = sent(log)
    repeated = data.draw(st.integers(0, len(signals)))
    table = judged(log, [*signals, *signals[repeated:]])
    assert (table.differences, table.expected, table.found) == (0, len(inputs), len(inputs))


@given(raw_logs, st.data())
def test_a_signal_that_is_missing_or_of_another_order_is_told(inputs: list[SignalInput], data: st.DataObject) -> None:
    log = logged(inputs)
    signals = sent(log)
    lost = data.draw(st.integers(0, len(signals) - 1))
    without = [*signals[:lost], *signals[lost + 1 :]]
    assert judged(log, without).missing == 1
    # It is not due before the group has committed its input.
    assert judged(log, without, done={0: lost}).differences == 0
    # An observation that did not count shows in all that follow.
    if lost < len(log) - 1:
        assert judged(log, sent([*log[:lost], *log[lost + 1 :]])).wrong == len(log) - lost - 1


def test_a_signal_of_no_input_is_extra() -> None:
    log = logged([given_input(0), given_input(1, 1)])
    repeated = [*log, record(given_input(1, 1), 2)]
    wrong = sent([*log, record(given_input(2, 2), 2)])
    assert judged(repeated, wrong).extra == 1


def test_an_input_that_was_set_aside_counts_only_when_the_brokers_refused_its_signals() -> None:
    log = logged([given_input(n, n) for n in range(3)])
    assert judged(log, sent([log[0], log[2]]), aside={(0, 1): "Defect"}).differences == 0
    signals = sent(log)
    assert judged(log, [signals[0], signals[2]], aside={(0, 1): REFUSED}).differences == 0
    assert judged(log, [signals[0], signals[2]]).missing == 1


def row_of(told: Told, **changed: Any) -> dict[str, Any]:
    return {**told._asdict(), "inputs": json.dumps(told.inputs)} | changed


async def compared(
    topic: SignalTopic, *rows: dict[str, Any], certain_after: datetime | None = None, kept_from: datetime | None = None
) -> TableReport:
    async def given_rows() -> AsyncIterator[Any]:
        for row in rows:
            yield row

    return await compare_signals(
        given_rows(), topic, certain_after=certain_after, kept_from=kept_from or NOW - timedelta(days=90)
    )


@pytest.fixture
def topic() -> SignalTopic:
    """Three records of one signal; the last is not due."""
    return topic_of(sent(logged([given_input(n, n) for n in range(3)])), stored={0: 2})


@pytest.mark.parametrize(("place", "wrong"), [(0, 1), (1, 0), (2, 0)])
async def test_the_newest_record_that_is_stored_or_a_later_one_must_be_the_row(
    topic: SignalTopic, place: int, wrong: int
) -> None:
    table = await compared(topic, row_of(topic.told["viral-a1"][place]))
    assert (table.wrong, table.differences, table.expected) == (wrong, wrong, 1)


async def test_a_row_that_is_missing_wrong_or_of_no_record_is_told(topic: SignalTopic) -> None:
    good = topic.told["viral-a1"][1]
    assert (await compared(topic)).missing == 1
    assert (await compared(topic, row_of(good, peak_at=NOW - timedelta(days=1)))).wrong == 1
    assert (await compared(topic, row_of(good, post_ids=["x"]))).wrong == 1
    assert (await compared(topic, row_of(good), row_of(good, id="viral-b"))).extra == 1


async def test_what_the_topic_no_longer_has_is_not_judged(topic: SignalTopic) -> None:
    good = topic.told["viral-a1"][1]
    old = row_of(good, id="viral-b")
    table = await compared(topic, row_of(good), old, certain_after=good.changed_at)
    assert (table.differences, table.unchecked) == (0, 1)
    # Retention removed it.
    assert (await compared(topic, kept_from=good.changed_at)).differences == 0


async def test_a_record_that_the_table_refused_is_not_due() -> None:
    signals = sent(logged([given_input(0)]))
    assert (await compared(topic_of(signals, aside={(0, 0)}))).differences == 0
    assert (await compared(topic_of([*signals, Record(1, value=b"no json")]))).missing == 1


OF_A_SUBREDDIT: dict[str, Any] = {
    "kind": "unusual_here", "subject_kind": "subreddit", "subject": "python",
    "strength": count_sigmas(20, 4.0, 9.0), "observed": 20.0, "expected": 4.0,
    "inputs": {"mean": 4.0, "variance": 9.0},
}  # fmt: skip
OF_A_POST: dict[str, Any] = {
    "kind": "unusual_here", "strength": 4.0, "observed": math.e**9 - 1, "expected": math.e - 1,
    "inputs": {"log_mean": 1.0, "log_sd": 2.0},
}  # fmt: skip
# Odds of 9 to 1.
VIRAL: dict[str, Any] = {
    "kind": "viral", "strength": 0.9, "observed": 20.0, "expected": 300.0,
    "inputs": {"log_odds_base": -1.0, "log_odds_score": 1.0, "log_odds_velocity": math.log(9)},
}  # fmt: skip


@pytest.mark.parametrize("of", [OF_A_SUBREDDIT, OF_A_POST, VIRAL], ids=["subreddit", "post", "viral"])
@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, 0),
        ({"strength": 0.95}, 1),
        ({"observed": 25.0, "inputs": {}}, 1),
        ({"rule_version": 1}, 0),
        ({"rule_version": 1, "strength": 0.95}, 1),
        ({"rule_version": 99}, 0),
    ],
)
async def test_strength_and_expectation_follow_from_the_numbers_beside_them(
    topic: SignalTopic, of: dict[str, Any], changed: dict[str, Any], wrong: int
) -> None:
    told = topic.told["viral-a1"][0]._replace(id="another", **of)._replace(**changed)
    table = await compared(SignalTopic(), row_of(told), certain_after=NOW + timedelta(days=1))
    assert table.wrong == wrong


async def test_an_expectation_that_does_not_follow_is_told(topic: SignalTopic) -> None:
    told, later = topic.told["viral-a1"][0]._replace(id="another"), NOW + timedelta(days=1)
    for of in (OF_A_SUBREDDIT, OF_A_POST):
        row = row_of(told._replace(**of)._replace(expected=3.0))
        assert (await compared(SignalTopic(), row, certain_after=later)).wrong == 1


@pytest.mark.parametrize(("strength", "wrong"), [(0.9, 0), (1.0, 1)])
async def test_a_post_that_has_the_points_already_is_as_sure_as_its_inputs_say(
    topic: SignalTopic, strength: float, wrong: int
) -> None:
    told, later = topic.told["viral-a1"][0]._replace(id="another"), NOW + timedelta(days=1)
    sure = told._replace(**VIRAL)._replace(observed=300.0, strength=strength)
    assert (await compared(SignalTopic(), row_of(sure), certain_after=later)).wrong == wrong


def test_signals_of_another_version_are_not_computed_again(topic: SignalTopic) -> None:
    assert of_this_rule(topic)
    topic.versions.add(("viral", subreddit.VERSION + 1))
    assert not of_this_rule(topic)
    assert of_this_rule(topic, are_bursts=True)
