"""Bursts compared with the log of mentions: what was lost, repeated or changed on the way is told, and nothing else."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.events import encode
from signalflow.signal_events import Signal, TermInput
from signalflow.verify.mentions import MentionOracle
from signalflow.verify.report import TableReport
from signalflow.verify.signals import REFUSED, SignalTopic
from tests.unit.streams.fakes import Record
from tests.unit.test_term_detection import TERMS, burst, logged, logs, mention, record, run

ALL: dict[int, int] = {0: 1 << 40}
# A burst of which a fourth post tells the start, and a fifth a new peak; a later post of another term ends it.
LOG = logged(
    [
        (TERMS[1], mention(0, "first")),
        *((TERMS[0], each) for each in burst((1000, 1001, 1002, 1003, 1004))),
        (TERMS[2], mention(1100, "later")),
    ]
)


def judged(log: Sequence[Record], signals: Sequence[Signal], aside: dict[tuple[int, int], str]) -> TableReport:
    """The topic of signals compared with what this log of mentions gives."""
    topic = SignalTopic()
    for offset, each in enumerate(signals):
        topic.take(Record(offset, "signals", key=each.key, value=encode(each)), ALL, ())
    oracle = MentionOracle(topic)
    for mention_ in log:
        oracle.take(mention_, ALL, aside)
    return oracle.table


@given(logs(), st.integers(1, 9))
def test_what_the_pipeline_sends_is_what_the_log_gives(mentions: list[tuple[str, TermInput]], size: int) -> None:
    log = logged(mentions)
    table = judged(log, run(log, size)[1], {})
    assert (table.differences, table.found) == (0, table.expected)


@pytest.mark.parametrize(
    ("offsets", "missing", "extra", "wrong"),
    [
        ([0, 1, 2, 3, 4, 5, 6], 0, 0, 0),
        # Without the second post the burst begins with the fifth one, and has four.
        ([0, 1, 3, 4, 5, 6], 1, 0, 2),
        ([0, 1, 2, 3, 4, 5], 1, 0, 0),
    ],
)
def test_a_mention_that_was_lost_on_the_way_is_told(offsets: list[int], missing: int, extra: int, wrong: int) -> None:
    table = judged(LOG, run([LOG[offset] for offset in offsets])[1], {})
    assert (table.missing, table.extra, table.wrong) == (missing, extra, wrong), table.examples


def test_a_mention_with_a_dead_letter_is_not_counted_unless_its_signals_were_refused() -> None:
    _, signals = run(LOG)
    without = [each for each in signals if each.source.offset != 4]
    assert judged(LOG, without, {(0, 4): REFUSED}).differences == 0
    assert judged(LOG, without, {}).missing == 1
    _, others = run([each for each in LOG if each.offset != 4])
    assert judged(LOG, others, {(0, 4): "Invalid"}).differences == 0


def test_a_record_of_another_program_changes_nothing() -> None:
    strange = [record(mention(1002, "x"), 50, key=b"rocket launch"), record(mention(1002, "x"), 51, value=b"[]")]
    table = judged([*LOG[:4], *strange, *LOG[4:]], run(LOG)[1], {})
    assert (table.differences, table.found) == (0, 3)
