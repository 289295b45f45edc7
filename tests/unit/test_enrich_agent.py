"""The enrich handler: invalid records become dead letters, and one record does no harm to the others."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest

from agents.enrich import EnrichHandler
from agents.expire import SLACK_US
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.observations import Observation, PostState
from signalflow.domain.words import ObservationMode
from signalflow.enrichment import microseconds, validated
from signalflow.errors import Invalid
from signalflow.events import Envelope, Metadata, Post, decode_enriched, encode
from signalflow.kafka.producer import Refused, partition_for
from signalflow.kafka.resending import COPY_HEADER
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.signal_events import decode_signal_input
from signalflow.streams.batch_loop import Batch, Ownership
from signalflow.streams.watermarks import Watermarks
from tables.post_state import BatchStates, PostStateCodec, encode_state
from tests.unit.streams.fakes import FakeApp, FakeEvent, FakeMessage, Record

NOW = datetime(2026, 1, 3, tzinfo=UTC)
MINUTES = timedelta(minutes=Settings().observed_ahead_minutes)
ENRICHED = TopicNames.of(Settings()).posts_enriched
INPUTS = TopicNames.of(Settings()).signal_inputs
TERMS = TopicNames.of(Settings()).term_inputs


def raw(
    post_id: str,
    observed_at: datetime,
    timestamp_ms: int | None = None,
    offset: int = 0,
    mode: ObservationMode = "refresh",
    score: int | None = 1,
    subreddit: str = "python",
    title: str = "t",
) -> Record:
    envelope = Envelope(
        entity_type="reddit_submission", source="test", mode=mode, emitted_at=observed_at,
        payload=Post(id=post_id, subreddit=subreddit, author=None, title=title, created_utc=observed_at, score=score,
                     num_comments=None if score is None else 0),
        metadata=Metadata(subreddit="python", observed_at=observed_at),
    )  # fmt: skip
    millis = int(NOW.timestamp() * 1000) if timestamp_ms is None else timestamp_ms
    return Record(offset, key=post_id.encode(), value=encode(envelope), timestamp=millis)


class EmptyTable:
    def read(self, partition: int, keys: list[bytes]) -> dict[bytes, None]:
        return dict.fromkeys(keys)


@pytest.fixture
def watermarks() -> Watermarks:
    return Watermarks()


@pytest.fixture
def handler(watermarks: Watermarks) -> EnrichHandler:
    dead_letters = DeadLetters(Settings(), None, "w")  # type: ignore[arg-type]
    return EnrichHandler(Settings(), EmptyTable(), None, dead_letters, watermarks, lambda: 12)  # type: ignore[arg-type]


def batch(*records: Record) -> Batch:
    return Batch([FakeEvent(FakeMessage(list(records)))])


@pytest.mark.parametrize("timestamp", [2**62, 253402300799999])
def test_a_record_timestamp_that_no_datetime_holds_does_not_stop_the_agent(timestamp: int) -> None:
    # Brokers before 4.0 take any timestamp.
    assert validated(raw("a1", NOW, timestamp), MINUTES).payload.id == "a1"


def test_an_observation_minutes_ahead_of_its_record_is_invalid_and_one_that_is_as_early_as_can_be_is_not() -> None:
    assert validated(raw("a1", NOW + MINUTES), MINUTES).payload.id == "a1"
    with pytest.raises(Invalid, match="later than the record") as refused:
        validated(raw("a1", NOW + MINUTES + timedelta(microseconds=1)), MINUTES)
    assert refused.value.field == "metadata.observed_at"


async def test_an_observation_hours_ahead_does_not_make_the_observations_after_it_late(handler: EnrichHandler) -> None:
    ahead, then = raw("a1", NOW + timedelta(hours=20)), raw("a1", NOW, offset=1)
    work = await handler.prepare(batch(ahead, then))
    assert [letter.offset for letter in work.letters] == [0]
    [enriched] = work.unit.outputs[ENRICHED][0]
    assert not decode_enriched(enriched.value or b"").late


async def test_one_observation_ahead_of_its_time_does_not_expire_the_states_of_today(
    handler: EnrichHandler, watermarks: Watermarks
) -> None:
    await handler.prepare(batch(raw("a1", NOW + MINUTES)))
    followed = microseconds(NOW - timedelta(hours=30))  # state is kept for 48 h
    state = encode_state(PostState(followed, followed, (Observation(followed, 1, 1),)))
    codec = PostStateCodec(Settings())
    reached = watermarks.of(0)
    assert reached is not None
    assert not codec.expired(state, reached - SLACK_US)


@pytest.mark.parametrize(("created", "kept"), [(timedelta(hours=49, seconds=-1), True), (timedelta(hours=49), False)])
async def test_a_post_does_without_its_state_an_hour_after_the_state_may_be_removed(
    handler: EnrichHandler, created: timedelta, kept: bool
) -> None:
    # Observed when it was created, and appended now: the log decides, and no timer.
    work = await handler.prepare(batch(raw("a1", NOW - created)))
    assert bool(work.unit.states[0]) is kept
    assert len(work.unit.outputs[ENRICHED][0]) == 1


async def test_a_defect_of_the_code_sets_one_record_aside_and_the_others_go_on(
    handler: EnrichHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    enriched = handler._enricher.enrich

    def broken(envelope: Envelope, *rest: Any) -> Any:
        if envelope.payload.id == "bad":
            raise ZeroDivisionError("a title nobody thought of")
        return enriched(envelope, *rest)

    monkeypatch.setattr(handler._enricher, "enrich", broken)
    work = await handler.prepare(batch(raw("a", NOW, offset=0), raw("bad", NOW, offset=1), raw("b", NOW, offset=2)))
    assert [record.key for record in work.unit.outputs[ENRICHED][0]] == [b"a", b"b"]
    [letter] = work.letters
    assert (letter.key, letter.stage) == (b"bad", "enrich")


async def test_dead_letters_of_invalid_records_name_the_field(handler: EnrichHandler) -> None:
    bad = raw("a", NOW)._replace(value=b'{"entity_type": "reddit_submission"}')
    [letter] = (await handler.prepare(batch(bad))).letters
    assert "source" in letter.error
    assert letter.stage == "validate"
    assert BatchStates({}).changes() == {}


async def test_a_replayed_record_stays_linked_to_the_dead_letter_it_was(handler: EnrichHandler) -> None:
    link = (("attempt", b"2"), ("dlq_of", b"7:token"))
    first, again = raw("a1", NOW), raw("b1", NOW, offset=1)._replace(headers=(("mode", b"new"), *link))
    foreign = raw("c1", NOW, offset=2)._replace(headers=(("dlq_of", b"x" * (1 << 20)), *link, ("attempt", b"9" * 101)))
    many = raw("d1", NOW, offset=3)._replace(headers=(link[0],) * 100_000)
    work = await handler.prepare(batch(first, again, foreign, many))
    enriched = work.unit.outputs[ENRICHED][0]
    assert [tuple(record.headers) for record in enriched] == [(), link, link[:1], link[:1]]


async def test_beside_each_enriched_record_goes_what_signals_are_computed_from(handler: EnrichHandler) -> None:
    later = NOW + timedelta(seconds=60)
    work = await handler.prepare(
        batch(
            raw("a1", NOW, subreddit="Rust"),
            raw("a1", later, offset=1, score=61, subreddit="Rust"),
            raw("a1", NOW, offset=2, subreddit="Rust"),
            raw("a1", NOW - timedelta(seconds=9), offset=3, subreddit="Rust"),
            raw("f1", NOW, offset=4, score=None, mode="new"),
            raw("f2", NOW, offset=5, score=None),
            raw("bad", NOW, offset=6)._replace(value=b"not json"),
            raw("f3", NOW, offset=7, mode="new")._replace(headers=((COPY_HEADER, b"0:4"),)),
        )
    )
    partition = partition_for(b"rust", 12)
    of_rust = [decode_signal_input(each.value or b"") for each in work.unit.outputs[INPUTS][partition]]
    assert {each.key for each in work.unit.outputs[INPUTS][partition]} == {b"rust"}
    assert [(each.source.offset, each.is_discovery, each.late) for each in of_rust] == [
        (0, True, False),
        (1, False, False),
        (2, True, False),  # the first observation, delivered again
        (3, False, True),
    ]
    assert [each.score_velocity for each in of_rust] == [None, 1.0, None, None]
    assert {each.appended_at for each in of_rust} == {NOW}
    of_feeds = [
        decode_signal_input(each.value or b"") for each in work.unit.outputs[INPUTS][partition_for(b"python", 12)]
    ]
    assert [(each.post_id, each.is_discovery, each.score) for each in of_feeds] == [
        ("f1", True, None),
        ("f2", False, None),
    ]


async def test_a_new_post_mentions_its_terms_once_and_a_refresh_or_a_copy_mentions_none(handler: EnrichHandler) -> None:
    new = raw("a1", NOW, offset=0, title="Rocket launch delayed; Baikonur evacuated")
    later = raw("a1", NOW + timedelta(minutes=1), offset=1, title="Rocket launch delayed; Baikonur evacuated")
    copied = raw("b1", NOW, offset=2, title="Another title")._replace(headers=((COPY_HEADER, b"raw/0/7"),))
    work = await handler.prepare(batch(new, later, copied))
    [enriched, *_] = [decode_enriched(each.value or b"") for each in work.unit.outputs[ENRICHED][0]]
    sent = [each for records in work.unit.outputs[TERMS].values() for each in records]
    assert len(enriched.nlp.keywords) >= 2
    assert sorted(each.key or b"" for each in sent) == sorted(
        blake2b(word.encode(), digest_size=8).hexdigest().encode() for word in enriched.nlp.keywords
    )
    for partition, records in work.unit.outputs[TERMS].items():
        assert {partition_for(each.key or b"", 12) for each in records} == {partition}


class Brokers:
    """Takes all records but those of one topic."""

    def __init__(self, refusing: str) -> None:
        self.refusing = refusing
        self.sent: dict[str, int] = {}

    async def send(self, topic: str, by_partition: Any) -> dict[int, Any]:
        if topic == self.refusing:
            raise Refused("too large")
        self.sent[topic] = self.sent.get(topic, 0) + sum(len(records) for records in by_partition.values())
        return {}


class Written:
    agent = "enrich"

    def read(self, partition: int, keys: list[bytes]) -> dict[bytes, None]:
        return dict.fromkeys(keys)

    async def write(self, producer: Any, states: Any, check: Any) -> None:
        self.states = states


@pytest.mark.parametrize(
    ("refusing", "letters", "posts", "inputs"), [(INPUTS, 0, 3, 0), (TERMS, 0, 3, 3), (ENRICHED, 3, 0, 0)]
)
async def test_an_input_of_signals_that_is_refused_costs_no_post(
    refusing: str, letters: int, posts: int, inputs: int, watermarks: Watermarks
) -> None:
    brokers, table = Brokers(refusing), Written()
    dead_letters = DeadLetters(Settings(), brokers, "w")  # type: ignore[arg-type]
    handler = EnrichHandler(Settings(), table, brokers, dead_letters, watermarks, lambda: 12)  # type: ignore[arg-type]
    work = await handler.prepare(batch(*(raw(f"a{n}", NOW, offset=n, title="Rocket launch") for n in range(3))))
    await handler.commit(work, Ownership(FakeApp(), 1))
    assert (brokers.sent.get(dead_letters.topic, 0), brokers.sent.get(ENRICHED, 0)) == (letters, posts)
    assert (brokers.sent.get(INPUTS, 0), brokers.sent.get(TERMS, 0)) == (inputs, inputs if refusing != TERMS else 0)
    assert len(table.states[0]) == 3


async def test_without_signals_posts_are_enriched_alone(watermarks: Watermarks) -> None:
    dead_letters = DeadLetters(Settings(), None, "w")  # type: ignore[arg-type]
    off = Settings(signals=False)
    handler = EnrichHandler(off, EmptyTable(), None, dead_letters, watermarks, lambda: 12)  # type: ignore[arg-type]
    work = await handler.prepare(batch(raw("a1", NOW)))
    assert set(work.unit.outputs) == {ENRICHED}
