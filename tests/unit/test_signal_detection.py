"""Signals follow from the log of their inputs: repetitions, whatever their cause, change nothing."""

import base64
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from signalflow.domain.signals.subreddit import VERSION, Change, Seen, SubredditState, decode_state, encode_state
from signalflow.enrichment import Defect, from_microseconds
from signalflow.errors import Fatal, Invalid
from signalflow.events import Source, encode
from signalflow.signal_detection import (
    Baseline,
    Detection,
    Detector,
    Place,
    decode_baseline,
    encode_baseline,
    id_of,
    input_of,
    outgoing,
    seen_of,
)
from signalflow.signal_detection import microseconds as us
from signalflow.signal_events import SignalInput, decode_signal
from tables.subreddit_baseline import LIFETIME_US, BatchBaselines, SubredditBaselineCodec
from tests.unit.streams.fakes import Record
from tests.unit.test_sink_agent import row

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
PYTHON = b"python"


def given_input(offset: int = 0, appended_ms: int = 0, partition: int = 0, **changed: Any) -> SignalInput:
    """An input from the raw record at `offset`, appended so many milliseconds after NOW."""
    appended = NOW + timedelta(milliseconds=appended_ms)
    return replace(
        SignalInput(
            subreddit="Python", post_id="a1", created_utc=NOW, observed_at=appended, emitted_at=appended,
            appended_at=appended, is_discovery=True, score=1, comments=0, ratio=None, score_velocity=None, late=False,
            taken_away=False, mode="new", source=Source(topic="raw", partition=partition, offset=offset),
        ),
        **changed,
    )  # fmt: skip


def record(given: SignalInput, offset: int = 0, appended_ms: int = 0, **changed: Any) -> Record:
    """The record of an input."""
    made = Record(offset, "inputs", key=given.key, value=encode(given), timestamp=MS + appended_ms)
    return made._replace(**changed)


class Applied(NamedTuple):
    """A state of the test's own rule: a digest of all observations in their order."""

    digest: int = 0
    count: int = 0


def in_order(state: Any, subreddit: str, seen: Seen) -> tuple[Any, tuple[Change, ...]]:
    """Every observation changes a signal that tells the digest of all before it."""
    before = state or Applied()
    after = Applied(zlib.crc32(repr((subreddit, seen)).encode(), before.digest), before.count + 1)
    return after, (change(observed=float(after.digest), changed_us=seen.observed_us),)


def change(**changed: Any) -> Change:
    values: dict[str, Any] = {
        "kind": "viral", "subject_kind": "post", "subject": "a1", "started_us": 1, "peak_us": 2, "ended_us": None,
        "changed_us": 3, "strength": 0.5, "observed": 10.0, "expected": 5.0, "post_ids": ("a1",),
        "inputs": {"log_odds_base": 0.0, "log_odds_score": 0.0, "log_odds_velocity": None},
    }  # fmt: skip
    return Change(**values | changed)


def run(log: Iterable[Record], start: Baseline | None = None) -> tuple[Baseline | None, list[float]]:
    """What is known after a log, and what its signals told."""
    detector, known, told = Detector(in_order), start, list[float]()
    for each in log:
        found = detector.detect(each, lambda key: known)  # noqa: B023, called at once
        told += [signal.observed for signal in found.signals]
        known = found.baseline or known
    return known, told


def logged(inputs: Sequence[SignalInput]) -> list[Record]:
    """The log of these inputs, each appended a millisecond after the one before."""
    return [record(given, offset, 10_000 + offset) for offset, given in enumerate(inputs)]


# Raw records of three partitions, as they are enriched: in order within a partition.
raw_logs = st.lists(st.integers(0, 2), min_size=1, max_size=25).map(
    lambda partitions: [
        given_input(partitions[:n].count(partition), n, partition, post_id=f"p{n}")
        for n, partition in enumerate(partitions)
    ]
)


@given(raw_logs, st.data())
def test_what_enrich_sends_again_changes_nothing(inputs: list[SignalInput], data: st.DataObject) -> None:
    again = data.draw(st.integers(0, len(inputs)))
    partition = data.draw(st.integers(0, 2))
    # Another owner of the raw partition reads it again from its last commit.
    repeated = [each for each in inputs[again:] if each.source.partition == partition]
    expected, told = run(logged(inputs))
    found, told_again = run(logged([*inputs, *repeated, *repeated]))
    assert found is not None
    assert expected is not None
    assert (found.state, found.applied) == (expected.state, expected.applied)
    assert told_again == told


@given(raw_logs, st.data())
def test_a_suffix_that_is_delivered_again_changes_nothing(inputs: list[SignalInput], data: st.DataObject) -> None:
    log = logged(inputs)
    begin = data.draw(st.integers(0, len(log)))
    assert run([*log, *log[begin:]]) == run(log)
    # A worker that died has the older value, and gives what is missing.
    stop = data.draw(st.integers(begin, len(log)))
    before, told = run(log[:stop])
    after, rest = run(log[begin:], before)
    assert (after, told + rest) == run(log)


@given(raw_logs, raw_logs, st.data())
def test_observations_that_took_the_offsets_of_lost_ones_count(
    inputs: list[SignalInput], later: list[SignalInput], data: st.DataObject
) -> None:
    # The raw log lost its end, or was made anew: new records at old offsets, with later times.
    new = [
        replace(each, appended_at=each.appended_at + timedelta(hours=1), post_id=f"n{each.post_id}") for each in later
    ]
    log = logged([*inputs, *new])
    _, told = run(log)
    assert len(told) == len(log)
    begin = data.draw(st.integers(0, len(log)))
    assert run([*log, *log[begin:]]) == run(log)


@given(raw_logs, st.data())
def test_a_log_of_inputs_that_was_cut_goes_on(inputs: list[SignalInput], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(inputs) - 1))
    before, _ = run(logged(inputs))
    new = [
        record(given_input(100 + n, 99, post_id="new"), cut + n, 3_600_000 + n) for n in range(len(inputs) - cut + 2)
    ]
    after, told = run(new, before)
    assert len(told) == len(new)
    assert after is not None
    assert after.reached.offset == new[-1].offset
    assert run(new, after) == (after, [])


def test_a_clock_of_brokers_that_goes_back_loses_no_observation() -> None:
    inputs = [given_input(0, 100), given_input(1, 40), given_input(2, 41)]
    log = [record(each, n, 500 - n) for n, each in enumerate(inputs)]
    found, told = run(log)
    assert len(told) == 3
    assert run(log, found) == (found, [])


def test_observations_of_one_millisecond_all_count() -> None:
    _, told = run([record(given_input(n), n) for n in range(3)])
    assert len(told) == 3


def test_the_signal_tells_its_input_and_how_it_is_computed_again() -> None:
    given = given_input(7, 5)
    made = record(given, 3, headers=(("attempt", b"2"), ("dlq_of", b"7:t"), ("mode", b"new")))
    [signal] = (
        Detector(lambda *_: (SubredditState.__new__(SubredditState), (change(),)))
        .detect(made, lambda key: None)
        .signals
    )
    out = outgoing(signal, made)
    assert decode_signal(out.value or b"") == signal
    assert (signal.id, signal.subreddit, signal.rule_version) == ("viral-a1", "Python", VERSION)
    assert signal.source == Source(topic="inputs", partition=0, offset=3)
    assert (signal.started_at, signal.ended_at) == (datetime(1970, 1, 1, 0, 0, 0, 1, UTC), None)
    assert signal.emitted_at == given.emitted_at
    assert out.key == PYTHON
    assert list(out.headers) == [("attempt", b"2"), ("dlq_of", b"7:t")]


@pytest.mark.parametrize(
    ("changed", "id_"),
    [
        ({}, "viral-a1"),
        ({"kind": "unusual_here", "started_us": us(NOW)}, "unusual_here-a1"),
        (
            {"kind": "unusual_here", "subject_kind": "subreddit", "subject": "python", "started_us": us(NOW)},
            "unusual_here-python-20260101T120000Z",
        ),
    ],
)
def test_a_post_has_one_signal_of_a_kind_and_a_subreddit_one_a_beginning(changed: dict[str, Any], id_: str) -> None:
    assert id_of(change(**changed)) == id_


def test_the_input_holds_the_numbers_of_the_enriched_record_and_no_text() -> None:
    enriched = replace(row("a1"), title="secret words", author="somebody", body="more words", removed_by="author")
    given = input_of(enriched, is_discovery=True, appended_us=us(NOW) + 1)
    text = encode(given).decode()
    assert not [word for word in ("secret", "somebody", "more words") if word in text]
    seen = seen_of(given)
    assert (seen.post_id, seen.score, seen.is_taken_away, seen.is_backfill) == ("a1", 1, True, False)
    assert given.source == enriched.source


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (record(given_input())._replace(key=b"Python"), "key"),
        (record(given_input(observed_at=datetime(1969, 1, 1, tzinfo=UTC))), "observed_at"),
        (record(given_input())._replace(value=b"{}"), None),
        (record(given_input())._replace(value=None), None),
    ],
)
def test_a_record_of_another_program_is_refused(made: Record, field: str | None) -> None:
    with pytest.raises(Invalid) as refused:
        Detector(in_order).detect(made, lambda key: None)
    assert refused.value.field == field


def test_a_defect_of_the_rule_costs_one_record() -> None:
    def broken(*given: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(Defect):
        Detector(broken).detect(record(given_input()), lambda key: None)


def known_after(count: int) -> Baseline:
    """A value that the real rule has after some inputs."""
    known: Baseline | None = None
    for n in range(count):
        found: Detection = Detector().detect(record(given_input(n, n, n % 3), n, n), lambda key: known)  # noqa: B023
        known = found.baseline
    assert known is not None
    return known


def test_a_value_is_read_as_it_was_written() -> None:
    for count in range(1, 6):
        value = known_after(count)
        assert decode_baseline(encode_baseline(value)) == value
    assert decode_state(encode_state(value.state)) == value.state


# What version 1 wrote of a subreddit after two days with a post in ten minutes, compressed.
OF_VERSION_1 = (
    "c-muRWH?Z}cZNF~13Lo*FhVG(C^J+vr~e?Mg&-4`mft`7TWec>W`BNfzl;GtU}Rtd>xY=Z3gj_>F-V4yfdwkg1Y|*MWn`G7a?+lG"
    ";Q<gg05O9D1H%U(tpH^o0MZle|NmbPq%Q#J`CvXo?FD;Ah6P}HTkdVBdXRVmkXC@=2K&&^t4MMJK-vI^9f0fwNEjp!k^{5R<PJdP"
    "v6~N(KLB+T+#mK3dtiJAD7^rx#sO+3gui;#Dtm@eFd_jv2O3~!0Rv_hA_4Qjx_{bv1~&HtTSR}9FdT`H0_N%YKtVn;E7eba5BAGP"
    "MDjZCylQ{DvxqnC<s19?Qj9@S^FP?LM!i$<`NZsy^)@zEa&~OypSw|7>w&c9p-VB-=EP?1|8!M*9gt>Sd}q@ZAbp2HWYUrXBXdKL"
    "WqZ@^Onm_68iBccJw#N%Tw^fzoV%qRm}>&!?(_b?yb8=U1#=gk3oZh4&A{Asj-S4Rx#nQ*j;&Q^z+4M3_x$6#*<h|En0tBUi82t^"
    "!T`+une_{7lm*yT`+nUO2ODJpcGbS$wx?LZT(GP5_lTeQ0p@~TwSUHZTP83U?5h1cMSp68xnNiAKUcEf2FwM!YX9x0le)oNu&egp"
    "v-kzE2<)l@rrV@mgSeJpR~^{&<aEh_NfVAR001{b`d9"
)


def test_a_value_of_version_1_is_read_and_goes_on() -> None:
    value = zlib.decompress(base64.b85decode(OF_VERSION_1))
    assert value[:2] == bytes((1, 1))
    found = decode_baseline(value)
    state = found.state
    assert (found.reached, found.applied) == (Place(1_767_571_200_000_000, 7), {0: Place(1_767_571_200_000_000, 3)})
    # As version 1 read it.
    assert (state.volume.learnt, state.volume.level) == (166, pytest.approx(1.89408306))
    assert (state.curve.posts, state.curve.medians[1]) == ((282, 159), pytest.approx(0.33943249))
    assert (state.reached_us, len(state.newest), state.volume.posts) == (1_767_742_840_895_604, 20, 1)

    written = encode_baseline(found)
    assert written[:2] == bytes((1, VERSION))
    assert decode_baseline(written) == found
    # A post from before is found: nothing was kept of when the subreddit was first observed.
    old = given_input(
        8, created_utc=from_microseconds(us(NOW)), observed_at=from_microseconds(state.reached_us + 1), mode="backfill"
    )
    after = Detector().detect(record(old, 8, 8), lambda key: found).baseline
    assert after is not None
    assert sum(after.state.volume.back.posts) == 0


@pytest.mark.parametrize("at", [0, 1])
def test_a_value_of_another_version_stops_the_worker(at: int) -> None:
    value = bytearray(encode_baseline(known_after(1)))
    value[at] += 1
    with pytest.raises(Fatal, match="newer one"):
        BatchBaselines({PYTHON: bytes(value)}).get(PYTHON)
    with pytest.raises(Fatal):
        decode_baseline(b"")


def test_of_two_values_the_one_that_has_read_more_of_the_log_counts() -> None:
    codec, values = SubredditBaselineCodec(), [encode_baseline(known_after(count)) for count in range(1, 5)]
    for one, other in pairwise(values):
        assert codec.merge(one, other) == codec.merge(other, one) == other
    assert codec.merge(one, one) == one


def test_a_value_after_a_cut_counts_more_than_one_before_it() -> None:
    value = known_after(2)
    before = Baseline(Place(10, 90), value.applied, value.state)
    after = Baseline(Place(20, 50), value.applied, value.state)
    merge = SubredditBaselineCodec().merge
    assert merge(encode_baseline(before), encode_baseline(after)) == encode_baseline(after)


@pytest.mark.parametrize(("more", "expired"), [(-1, False), (0, True)])
def test_a_subreddit_that_was_not_observed_for_sixty_days_is_forgotten(more: int, expired: bool) -> None:
    value = known_after(1)
    assert timedelta(microseconds=LIFETIME_US) == timedelta(days=60)
    assert (
        SubredditBaselineCodec().expired(encode_baseline(value), value.reached.appended_us + LIFETIME_US + more)
        is expired
    )


def test_only_values_that_changed_are_written() -> None:
    old, new = known_after(1), known_after(2)
    batch = BatchBaselines({b"a": encode_baseline(old), b"b": encode_baseline(old), b"c": None})
    assert (batch.get(b"a"), batch.get(b"c")) == (old, None)
    batch.put(b"b", new)
    assert batch.get(b"b") == new
    assert batch.changes() == {b"b": encode_baseline(new)}
