"""Signals as a kind of the live stream: what clients of it get, and by which filters."""

import json
from typing import Any

import jsonschema_rs
import pytest
from starlette.datastructures import QueryParams

from signalflow.errors import Invalid
from signalflow.events import Source
from signalflow.settings import Settings
from tests.unit.web.live.fanouts import fanout, ready, take
from tests.unit.web.live.records import signal_record_of
from web.api.live.asyncapi import document
from web.api.live.subscription import filter_in
from web.live.fanout import Fanout
from web.live.kinds import SIGNALS
from web.live.protocol import decode_filter
from web.live.records import Backlog
from web.live.signals import SIGNAL_FILTERS, SignalFilter, SignalMatcher, signal_record


def sent(state: Fanout, now: float = 1.0) -> list[dict[str, Any]]:
    """The signals of the only frame."""
    ((_, frame),) = state.tick(now).frames
    body = json.loads(frame.text)
    assert (body["type"], set(body)) == ("signals", {"type", "id", "signals"})
    return list(body["signals"])


def test_a_client_gets_the_numbers_and_the_words_as_the_document_says() -> None:
    state = fanout(kind=SIGNALS)
    ready(state)
    take(state, signal_record_of(0))
    (told,) = sent(state)
    components = document(Settings())["components"]
    jsonschema_rs.validator_for({"$ref": "#/components/schemas/LiveSignal", "components": components}).validate(told)
    assert (told["id"], told["observed"], told["ended_at"]) == ("unusual_here-python-20260101T000000Z", 12, None)
    assert told["sentence"] == (
        "r/Python: 12 posts in 15 minutes, 4 times its usual number for an early Thursday morning (UTC)."
    )
    assert told["how_sure"] == "5.2 standard deviations above what is usual"


def test_of_changes_by_one_answer_of_reddit_the_last_one_counts() -> None:
    state = fanout(kind=SIGNALS)
    ready(state)
    take(state, signal_record_of(3, observed=5.0), signal_record_of(4, observed=6.0))
    assert [told["observed"] for told in sent(state)] == [6]
    waiting = Backlog()
    waiting.add(signal_record_of(3, observed=5.0))
    waiting.add(signal_record_of(4, observed=6.0))
    assert [record.offset for record in waiting.take(9, 10_000)] == [4]


def test_a_repetition_of_an_older_change_does_not_follow_a_newer_one() -> None:
    state = fanout(kind=SIGNALS)
    ready(state)
    first, second = signal_record_of(0, 1), signal_record_of(1, 2, observed=20.0)
    take(state, first, second)
    assert [told["observed"] for told in sent(state)] == [20]
    repeated = signal_record_of(2, 1, source=Source(topic="reddit.signals.inputs", partition=0, offset=0))
    state.take(0, 2, repeated)
    assert [frame for _, frame in state.tick(2.0).frames if "signals" in frame.text] == []


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"kind": ["viral"]}, False),
        ({"kind": ["viral", "unusual_here"]}, True),
        ({"subreddit": ["PYTHON"]}, True),
        ({"subreddit": ["rust"]}, False),
        ({"kind": ["unusual_here"], "min_strength": 5.2}, True),
        ({"kind": ["unusual_here"], "min_strength": 5.3}, False),
    ],
)
def test_a_filter_lets_through_what_meets_all_conditions(wanted: dict[str, Any], matches: bool) -> None:
    assert SignalMatcher(SignalFilter(**wanted))(signal_record_of(0)) is matches


def test_a_signal_of_no_subreddit_meets_no_condition_on_one() -> None:
    assert not SignalMatcher(SignalFilter(subreddit=["python"]))(signal_record_of(0, subreddit=None))


def test_a_filter_in_an_address_and_in_a_message_are_the_same() -> None:
    query = QueryParams("kind=viral&subreddit=python,Rust&min_strength=0.5")
    message = '{"type":"filter","kind":["viral"],"subreddit":["python","Rust"],"min_strength":0.5}'
    wanted = SignalFilter(kind=["viral"], subreddit=["python", "Rust"], min_strength=0.5)
    assert filter_in(query, SIGNAL_FILTERS) == decode_filter(message, SIGNAL_FILTERS) == wanted


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("kind=odd", "must be some of viral, unusual_here, burst"),
        ("kind=viral&min_strength=high", "must be a number of at least 0"),
        ("kind=viral&min_strength=-1", "must be a number of at least 0"),
        ("min_strength=1", "needs exactly one kind"),
        ("q=x", "a filter has kind, subreddit, min_strength"),
    ],
)
def test_a_filter_that_is_wrong_is_refused_by_name(query: str, told: str) -> None:
    with pytest.raises(Invalid, match=told) as refused:
        filter_in(QueryParams(query), SIGNAL_FILTERS)
    assert refused.value.field == query.rpartition("&")[2].partition("=")[0]


def test_what_is_no_signal_is_refused() -> None:
    with pytest.raises(Invalid):
        signal_record(0, 0, b"{}")
