"""Bursts follow from the log of mentions: its split into batches, repetitions and crashes change nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from signalflow.domain.signals.bursts import LIFETIME_US, MOST_POSTS, Mention
from signalflow.domain.signals.term_hash import term_hash
from signalflow.enrichment import microseconds
from signalflow.errors import Fatal, Invalid
from signalflow.events import Enriched, TextFeatures, encode
from signalflow.signal_events import Signal, TermInput, decode_term_input
from signalflow.term_detection import (
    WATCH_KEY,
    decode_known,
    detect,
    encode_known,
    mention_of,
    mentions_of,
    validated_mention,
)
from tables.term_counts import BatchTerms, TermCountsCodec
from tests.unit.domain.signals.batch_bursts import Found, bursts_of, close
from tests.unit.streams.fakes import Record
from tests.unit.test_sink_agent import row

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TERMS = [term_hash(term) for term in ("rocket launch", "election", "cat")]
Table = dict[bytes, bytes | None]
# What distinguishes one record of the topic of signals from another.
Told = tuple[str, int, int, float, bool]


def mention(minute: float, post: str, subreddit: str = "space", delay: float = 0.1) -> TermInput:
    """Of a post that is created so many minutes after NOW and seen `delay` minutes later."""
    created = NOW + minute * MINUTE
    return TermInput(
        post_id=post, subreddit=subreddit, created_utc=created, observed_at=created + delay * MINUTE, emitted_at=created
    )


def record(given_: TermInput, offset: int = 0, term: str = TERMS[0], **other: Any) -> Record:
    appended = microseconds(NOW + timedelta(days=30)) // 1000 + offset
    made = Record(offset, "mentions", key=term.encode(), value=encode(given_), timestamp=appended)
    return made._replace(**other)


def taken(table: Table, log: Iterable[Record]) -> tuple[list[Signal], Mapping[bytes, bytes | None]]:
    """The signals of one batch, and the values that it changes, as the handler computes them."""
    log = list(log)
    batch = BatchTerms(lambda keys: {key: table.get(key) for key in keys}, {each.key or b"" for each in log})
    signals: list[Signal] = []
    for each in log:
        found = detect(each, batch.get)
        signals += found.signals
        for key, known in found.values.items():
            batch.put(key, known)
    return signals, batch.changes()


def run(log: Sequence[Record], size: int = 10) -> tuple[Table, list[Signal]]:
    """The table and the signals after a log that is read in batches of this size."""
    table, signals = Table(), list[Signal]()
    for begin in range(0, len(log), size):
        more, values = taken(table, log[begin : begin + size])
        table |= values
        signals += more
    return table, signals


def told(signals: Iterable[Signal]) -> list[Told]:
    return [
        (each.id, microseconds(each.changed_at), each.source.offset, each.observed, each.ended_at is not None)
        for each in signals
    ]


def states(table: Table) -> dict[bytes, Any]:
    """What is known, without the records that were reached."""
    return {key: decode_known(value).of for key, value in table.items() if value is not None}


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, TermInput]]:
    """Mentions of three terms in the order of observation, after half a day in which one post was seen."""
    minute, found = 1000.0, [(TERMS[2], mention(0, "first"))]
    for number, (gap, delay, term, subreddit) in enumerate(
        draw(
            st.lists(
                st.tuples(
                    st.sampled_from([0, 1, 2, 9, 40, 130]), st.sampled_from([0.1, 5, 70, 150]),
                    st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from(["space", "news"]),
                ),
                min_size=4, max_size=40,
            )
        )
    ):  # fmt: skip
        minute += gap
        found.append((TERMS[term], mention(minute, f"p{number}", subreddit, delay)))
    found.sort(key=lambda each: each[1].observed_at)
    # A burst that is over when it begins, told late, ends with the record after it.
    return [*found, (term_hash("other"), changed(found[-1][1], post_id="last"))]


def logged(mentions: Sequence[tuple[str, TermInput]]) -> list[Record]:
    return [record(each, offset, term) for offset, (term, each) in enumerate(mentions)]


def by_definition(mentions: Sequence[tuple[str, TermInput]]) -> dict[str, list[Found]]:
    """The bursts of each term, computed over all of its mentions at once."""
    since = microseconds(mentions[0][1].observed_at)
    newest = microseconds(mentions[-1][1].observed_at)
    of: dict[str, list[Mention]] = {}
    for term, each in mentions:
        of.setdefault(term, []).append(mention_of(each))
    found = {term: bursts_of(each, since) for term, each in of.items()}
    for term, bursts in found.items():
        # The time of the partition ends what its own mentions did not.
        if bursts and bursts[-1].end is None:
            close(bursts, of[term], since, newest)
    return found


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(1, 12))
def test_bursts_are_those_of_the_definitions_over_the_whole_log(
    mentions: list[tuple[str, TermInput]], size: int
) -> None:
    table, signals = run(logged(mentions), size)
    last = {each.id: each for each in signals}
    for term, bursts in by_definition(mentions).items():
        found = [each for each in last.values() if each.subject == term]
        assert [microseconds(each.started_at) for each in found] == [burst.start for burst in bursts]
        for each, burst in zip(found, bursts, strict=True):
            assert (None if each.ended_at is None else microseconds(each.ended_at)) == burst.end
            assert (each.observed, each.inputs["observed"]) == (burst.peak, burst.observed)
            assert microseconds(each.peak_at) == burst.peak_at
            assert each.expected == pytest.approx(burst.expected)
            assert each.strength == pytest.approx(burst.peak / burst.expected)
            assert each.post_ids == burst.members[: len(each.post_ids)]
            assert len(each.post_ids) <= MOST_POSTS
    watch = states(table)[WATCH_KEY]
    going_on = {term for term, bursts in by_definition(mentions).items() if bursts and bursts[-1].end is None}
    assert set(watch.ends_us) >= going_on


@settings(max_examples=100, deadline=None)
@given(logs(), st.data())
def test_neither_batches_nor_repetitions_nor_a_crash_between_two_records_of_the_changelog_change_a_signal(
    mentions: list[tuple[str, TermInput]], data: st.DataObject
) -> None:
    log = logged(mentions)
    table, signals = run(log, 1)
    size = data.draw(st.integers(1, 12))
    # What the enrich agent sends again after a crash comes as new records.
    again = [
        record(each, len(log) + n, term) for n, (term, each) in enumerate(mentions[data.draw(st.integers(0, 9)) :])
    ]
    found, told_again = Table(), list[Told]()
    crash = data.draw(st.integers(0, len(log) // size))
    for number, begin in enumerate(range(0, len(log) + len(again), size)):
        batch = [*log, *again][begin : begin + size]
        more, values = taken(found, batch)
        if number == crash:
            # Signals are confirmed, and the changelog has some of the values: the successor reads the batch again.
            told_again += told(more)
            some = dict(list(values.items())[: data.draw(st.integers(0, len(values)))])
            found |= some
            if some == values:
                assert taken(found, batch) == ([], {})
            more, values = taken(found, batch)
        found |= values
        told_again += told(more)
    assert dict.fromkeys(told_again) == dict.fromkeys(told(signals))
    assert states(found) == states(table)


def burst(minutes: Iterable[float] = (1000, 1001, 1002, 1003)) -> list[TermInput]:
    return [mention(minute, f"p{minute:g}") for minute in minutes]


def test_four_posts_of_a_new_term_are_a_burst_that_the_silence_of_the_term_ends() -> None:
    first = record(mention(0, "first"), 0, TERMS[1])
    posts = [record(each, 1 + n) for n, each in enumerate(burst())]
    later = [record(mention(1002 + 60 * hours, f"later{hours}"), 9 + hours, TERMS[2]) for hours in (1, 2)]
    table, signals = run([first, *posts, *later])
    begun, ended = signals
    assert (begun.id, begun.kind, begun.subject_kind) == (f"burst-{TERMS[0]}-20260102T044000Z", "burst", "term")
    assert (begun.subject, begun.subreddit, begun.key) == (TERMS[0], "space", TERMS[0].encode())
    assert (begun.observed, begun.post_ids, begun.ended_at) == (4, ["p1000", "p1001", "p1002", "p1003"], None)
    # 0.5 posts in the hours of the watch and one; the weight of hours halves in 72. The newest two are not the past.
    hours = (1 - 2 ** (-(1003.1 - 0.1 - 120) / 60 / 72)) * 72 / 0.6931471805599453 + 1
    assert begun.expected == pytest.approx(0.5 / hours)
    assert begun.strength == pytest.approx(4 / (0.5 / hours))
    assert begun.inputs["subreddits"] == 1
    assert begun.inputs["chance"] == pytest.approx(by_sum(4, 0.5, hours))
    # The last post but one leaves the hour, and the first mention of another term after that ends it.
    assert ended == changed(
        begun,
        ended_at=NOW + 1062 * MINUTE,
        changed_at=NOW + 1062.1 * MINUTE,
        source=ended.source,
        emitted_at=ended.emitted_at,
    )
    assert ended.source.offset == 10
    assert states(table)[WATCH_KEY].ends_us == {}


def by_sum(count: int, posts: float, hours: float) -> float:
    """P(N >= count - 1) of the negative binomial distribution, by its recurrence."""
    shape = min(posts, 5.0)
    miss = shape / (shape + posts / hours)
    term, below = miss**shape, 0.0
    for k in range(count - 1):
        below += term
        term *= (1 - miss) * (k + shape) / (k + 1)
    return 1 - below


def test_a_burst_of_two_subreddits_is_of_none_and_keeps_its_key() -> None:
    posts = [mention(1000 + n, f"p{n}", ["space", "news"][n % 2]) for n in range(5)]
    _, signals = run([record(mention(0, "first"), 0, TERMS[1]), *(record(each, 1 + n) for n, each in enumerate(posts))])
    assert [(each.subreddit, each.key, each.inputs["subreddits"]) for each in signals] == [
        (None, TERMS[0].encode(), 2)
    ] * 2
    assert signals[0].id == signals[1].id


def test_a_term_that_nobody_mentioned_for_a_week_is_new_whether_its_value_is_still_there_or_not() -> None:
    table, _ = run([record(mention(0, "first")), record(mention(900, "a"), 1)])
    value = table[TERMS[0].encode()]
    assert value is not None
    codec, newest = TermCountsCodec(), microseconds(NOW + 900.1 * MINUTE)
    assert not codec.expired(value, newest + LIFETIME_US)
    assert codec.expired(value, newest + LIFETIME_US + 1)
    week = LIFETIME_US / 60_000_000
    for more, is_gone in ((0.0, False), (1.0, True)):
        late = [record(mention(900 + week + more, "b"), 2)]
        kept, removed = (taken(each, late)[1] for each in (table, table | {TERMS[0].encode(): None}))
        assert (kept == removed) is is_gone
    watch = table[WATCH_KEY]
    assert watch is not None
    assert not codec.expired(watch, newest + 10 * LIFETIME_US)


def test_values_are_compact_and_come_back() -> None:
    log = [record(mention(0, "a"), 0), record(mention(900, "b"), 1, TERMS[1])]
    log += [record(each, 2 + n) for n, each in enumerate(burst())]
    table, _ = run(log)
    for value in filter(None, table.values()):
        assert encode_known(decode_known(value)) == value
    of_one = table[TERMS[1].encode()]
    assert of_one is not None
    assert len(of_one) <= 95
    with pytest.raises(Fatal, match="term_counts holds a value of version"):
        decode_known(b"\x00\x00" + of_one[2:])


def test_of_two_values_the_one_that_was_computed_from_more_of_the_log_counts() -> None:
    values = [
        run(logged([(TERMS[0], each) for each in [mention(0, "first"), *burst()[:count]]]))[0] for count in (1, 2, 3, 4)
    ]
    merge = TermCountsCodec().merge
    for key in (TERMS[0].encode(), WATCH_KEY):
        for one in values:
            for other in values:
                first, second = one[key], other[key]
                assert first is not None
                assert second is not None
                further = max(one, other, key=lambda table: decode_known(table[key] or b"").reached)[key]
                assert merge(first, second) == merge(second, first) == further


def told_of(**fields: Any) -> Enriched:
    """A new post with two keywords."""
    nlp = TextFeatures(sentiment_score=None, sentiment_label=None, keywords=["rocket launch", "café"])
    return changed(
        row("a1"),
        **{"observed_at": NOW, "emitted_at": NOW, "subreddit": "Space", "created_utc": NOW, "nlp": nlp, **fields},
    )


def test_a_new_post_mentions_the_hash_of_each_keyword_and_tells_no_word() -> None:
    found = mentions_of(told_of(title="Rocket launch from a café"), True, Record(0))
    # As `b2sum -l 64` gives them.
    assert [each.key for each in found] == [b"628b20622b1aa2fc", b"5777a2bd3192d7e3"]
    assert decode_term_input(found[0].value or b"") == TermInput(
        post_id="a1", subreddit="Space", created_utc=NOW, observed_at=NOW, emitted_at=NOW
    )
    assert (found[0].value or b"").lower().find(b"rocket") == -1


@pytest.mark.parametrize(
    ("is_discovery", "fields"),
    [
        (False, {}),
        (True, {"late": True}),
        (True, {"mode": "backfill"}),
        (True, {"created_utc": NOW - timedelta(hours=2, microseconds=1)}),
        (True, {"nlp": TextFeatures(sentiment_score=None, sentiment_label=None, keywords=[]), "removed_by": "author"}),
    ],
    ids=["refresh", "late", "backfill", "old", "taken away"],
)
def test_other_observations_mention_nothing(is_discovery: bool, fields: dict[str, Any]) -> None:
    assert mentions_of(told_of(**fields), is_discovery, Record(0)) == []


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"key": b"rocket launch"}, "key"),
        ({"key": b"watch"}, "key"),
        ({"key": None}, "key"),
        ({"value": encode(changed(mention(0, "a"), created_utc=datetime(1969, 1, 1, tzinfo=UTC)))}, "created_utc"),
        ({"value": encode(changed(mention(0, "a"), observed_at=datetime(1969, 1, 1, tzinfo=UTC)))}, "observed_at"),
    ],
)
def test_a_record_that_is_no_mention_is_refused_by_its_field(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        validated_mention(record(mention(0, "a"), **bad))
    assert refused.value.field == field
