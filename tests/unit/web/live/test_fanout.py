"""The pure core of the live stream."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.web.live.fanouts import TOPIC, fanout, frames_of, posts, ready, take
from tests.unit.web.live.records import EPOCH, enriched, record
from web.live import fanout as module
from web.live.clients import Client, Limits
from web.live.fanout import Fanout
from web.live.frames import OutgoingFrame
from web.live.matching import Matcher
from web.live.protocol import Filter
from web.live.records import Backlog, LiveRecord, Newest, live_record
from web.live.token import decode_token


def test_clients_with_equal_filters_share_one_text() -> None:
    state = fanout()
    clients = [ready(state, Filter(subreddit=["Python"])), ready(state, Filter(subreddit=["python"]))]
    other = ready(state, Filter(subreddit=["rust"]))
    take(state, record(0, 0))
    frames = state.tick(1.0).frames
    assert [client for client, _ in frames] == clients
    assert frames[0][1] is frames[1][1]
    assert other.ready


def test_of_each_post_the_newest_observation_is_sent() -> None:
    state = fanout()
    client = ready(state)
    take(state, record(0, 0, "a", 0), record(0, 1, "b", 1), record(0, 2, "a", 2))
    (frame,) = frames_of(state, client)
    assert [(post["id"], post["observed_at"]) for post in posts(frame)] == [
        ("b", "2026-01-01T00:00:01Z"),
        ("a", "2026-01-01T00:00:02Z"),
    ]
    client.ready = True
    beat = json.loads(state.heartbeat(client).text)
    assert (beat["sent"], beat["skipped"], beat["coalesced"]) == (2, 0, 1)


A_FEED = {"title": "Newer", "current_score": None, "current_comments": None, "over_18": None, "is_self": None}


@pytest.mark.parametrize("waits", [False, True])
def test_of_two_observations_in_one_frame_the_newer_takes_no_number_away(waits: bool) -> None:
    state = fanout()
    client = ready(state)
    client.ready = not waits
    take(state, record(0, 0, "a", 0, current_score=7, current_comments=3, over_18=True, score_velocity=0.5))
    if waits:
        state.tick(0.5)
    take(state, record(0, 1, "a", 5, **A_FEED))
    if waits:
        state.tick(0.7)
        client.ready = True
    (frame,) = frames_of(state, client)
    (post,) = posts(frame)
    assert (post["title"], post["observed_at"]) == ("Newer", "2026-01-01T00:00:05Z")
    assert (post["current_score"], post["current_comments"], post["over_18"], post["score_velocity"]) == (
        7,
        3,
        True,
        0.5,
    )
    client.ready = True
    take(state, record(0, 2, "a", 6, **A_FEED), record(0, 3, "a", 7, current_score=9))
    (frame,) = frames_of(state, client, 2.0)
    assert [(post["title"], post["current_score"]) for post in posts(frame)] == [("A post about something", 9)]


def test_a_record_that_was_delivered_twice_is_sent_once_and_never_after_a_newer_one() -> None:
    state = fanout()
    client = ready(state)
    take(state, record(0, 0, "a", 0), record(0, 1, "a", 5))
    assert len(frames_of(state, client)) == 1
    client.ready = True
    take(state, record(0, 2, "a", 0), record(0, 3, "a", 5))
    assert frames_of(state, client, 2.0) == []


@pytest.mark.parametrize("fields", [{"mode": "backfill"}, {"late": True}])
def test_an_observation_without_news_is_not_sent(fields: dict[str, Any]) -> None:
    from signalflow.events import encode

    assert live_record(0, 0, encode(enriched(**fields))) is None


def test_a_client_that_is_not_ready_gets_the_newest_when_it_is() -> None:
    state = fanout()
    client = ready(state)
    for offset in range(3):
        take(state, record(0, offset, "a", offset))
        state.tick(float(offset))
        # The first frame is never accepted.
    assert len(client.backlog) == 1
    client.ready = True
    (frame,) = frames_of(state, client, 3.0)
    assert [post["observed_at"] for post in posts(frame)] == ["2026-01-01T00:00:02Z"]


def test_a_client_whose_queue_is_full_or_that_accepts_nothing_is_slow() -> None:
    state = fanout(limits=Limits(waiting_posts=2, stall_seconds=10, heartbeat_seconds=15))
    stalled, full = ready(state, Filter(id=["a"])), ready(state)
    take(state, record(0, 0, "a"))
    assert state.tick(1.0).slow == []
    take(state, *(record(0, offset, f"b{offset}") for offset in range(1, 4)))
    assert state.tick(2.0).slow == [full]
    state.leave(full)
    assert state.tick(11.0).slow == []
    assert state.tick(11.5).slow == [stalled]


def test_a_client_without_news_is_never_slow() -> None:
    state = fanout()
    client = ready(state, Filter(trending=True))
    for second in range(100):
        ticked = state.tick(float(second))
        assert ticked.slow == []
        for _ in ticked.frames:
            client.ready = True


def test_heartbeats_come_when_due_and_count_from_the_connection_on() -> None:
    state = fanout()
    early = ready(state, Filter(min_score=5))
    take(state, record(0, 0, "a", current_score=1), record(0, 1, "b", current_score=9))
    state.tick(1.0)
    early.ready = True
    late = ready(state, Filter(min_score=5))
    take(state, record(0, 2, "c", current_score=1))
    state.tick(2.0)
    assert state.tick(14.0).frames == []
    beats = {client: json.loads(frame.text) for client, frame in state.tick(16.0).frames}
    assert (beats[early]["sent"], beats[early]["skipped"]) == (1, 2)
    assert (beats[late]["sent"], beats[late]["skipped"]) == (0, 1)


def test_a_new_filter_holds_for_what_waits_and_for_what_came_since_the_last_tick() -> None:
    state = fanout()
    client = ready(state, Filter(subreddit=["python"]))
    client.ready = False
    take(state, record(0, 0, "a", subreddit="python"), record(0, 1, "b", subreddit="python", current_score=9))
    state.tick(1.0)
    take(state, record(0, 2, "c", subreddit="rust", current_score=9))
    state.change(client, Filter(min_score=5))
    client.ready = True
    (frame,) = frames_of(state, client, 2.0)
    assert [post["id"] for post in posts(frame)] == ["b", "c"]


def test_a_group_without_clients_is_forgotten() -> None:
    state = fanout()
    for number in range(50):
        client = ready(state, Filter(min_score=number))
        state.change(client, Filter(min_score=-number - 1))
        state.leave(client)
    assert state.clients == []
    assert state._groups == {}


def test_the_id_of_a_frame_is_what_the_client_lacks_and_not_what_the_log_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POSTS_A_FRAME", 2)
    state = fanout(partitions=2)
    client = ready(state)
    client.ready = False
    take(state, record(0, 0, "a"), record(1, 0, "x"), record(0, 1, "b"), record(0, 2, "c"), record(1, 1, "y"))
    state.tick(1.0)
    client.ready = True
    (frame,) = frames_of(state, client, 2.0)
    assert [post["id"] for post in posts(frame)] == ["a", "x"]
    assert decode_token(json.loads(frame.text)["id"]).offsets == (1, 1)


def test_no_frame_is_larger_than_clients_take() -> None:
    state = fanout()
    client = ready(state)
    take(state, *(record(0, offset, f"p{offset}", url="ü" * 20_000) for offset in range(100)))
    got: list[str] = []
    for second in range(10):
        for frame in frames_of(state, client, float(second)):
            assert len(frame.text.encode()) < 1 << 20
            got += [post["id"] for post in posts(frame)]
        client.ready = True
    assert got == [f"p{offset}" for offset in range(100)]


def test_an_event_carries_the_token_as_its_id() -> None:
    state = fanout()
    client = ready(state)
    frame = state.heartbeat(client)
    first, second, *rest = frame.event.decode().split("\n")
    assert first == f"id: {json.loads(frame.text)['id']}"
    assert second == f"data: {frame.text}"
    assert rest == ["", ""]


def test_memory_is_bounded_whatever_comes() -> None:
    state = fanout(tail=10)
    client = ready(state)
    for offset in range(2_000):
        take(state, record(0, offset, f"p{offset}"))
        if not state.room or offset % 7 == 0:
            for slow in state.tick(1.0).slow:
                state.leave(slow)
    assert client not in state.clients
    assert sum(len(records) for records in state._tail._records) == 10
    newest = Newest(10)
    for offset in range(100):
        newest.note(record(0, offset, f"p{offset}"))
    assert len(newest._of) == 10


# --- nothing is lost, nothing goes back in time, whatever happens

PARTITIONS = 2
# Three posts a partition, so that they meet again and again.
KEYS = {f"p{number}": number % PARTITIONS for number in range(6)}


@dataclass
class Reader:
    """A client as its user sees it: what it has of each post, and the token to come back with."""

    filter: Filter
    client: Client | None = None
    token: tuple[int, ...] | None = None
    begin: tuple[int, ...] = ()
    until: list[int] = field(default_factory=list)
    queue: list[OutgoingFrame] = field(default_factory=list)
    seen: dict[str, datetime] = field(default_factory=dict)
    seen_here: dict[str, datetime] = field(default_factory=dict)


class World:
    """A log, a process that fans it out, and readers that come and go. `strict`: no observation was redelivered."""

    def __init__(self, filters: list[Filter], tail: int) -> None:
        self.log: list[list[LiveRecord]] = [[] for _ in range(PARTITIONS)]
        self.state = Fanout(TOPIC, [0] * PARTITIONS, Limits(10**6, 10**6, 10**6), tail)
        self.readers = [Reader(filter_) for filter_ in filters]
        self.strict = True
        self.now = 0.0

    def produce(self, post_id: str, seconds: int, score: int) -> None:
        partition = KEYS[post_id]
        made = record(partition, len(self.log[partition]), post_id, seconds, current_score=score)
        if any(each.id == post_id and each.observed_at >= made.observed_at for each in self.log[partition]):
            self.strict = False
        self.log[partition].append(made)
        self.state.take(partition, made.offset, made)

    def burst(self, observed: list[tuple[str, int, int]]) -> None:
        """What is read before the next tick."""
        for post_id, seconds, score in observed:
            self.produce(post_id, seconds, score)

    def tick(self) -> None:
        self.now += 1
        for client, frame in self.state.tick(self.now).frames:
            next(reader for reader in self.readers if reader.client is client).queue.append(frame)

    def come(self, reader: Reader) -> None:
        if reader.client is None:
            reader.client = self.state.join(reader.filter, self.now, reader.token)
            reader.queue.append(self.state.heartbeat(reader.client))
            reader.until = self.state.told.copy()
            reader.seen_here = {}
            if reader.token is None:
                reader.begin = reader.token = tuple(self.state.told)

    def go(self, reader: Reader) -> None:
        """Whatever was delivered but not accepted is lost on the way."""
        if reader.client is not None:
            self.state.leave(reader.client)
            reader.client = None
            reader.queue.clear()

    def fall_behind(self, reader: Reader, observed: list[tuple[str, int, int]]) -> None:
        """Away while more comes than the tail keeps, and back."""
        self.go(reader)
        self.burst(observed)
        self.tick()
        self.come(reader)
        self.accept(reader)

    def accept(self, reader: Reader) -> None:
        if reader.client is None:
            return
        for frame in reader.queue:
            body = json.loads(frame.text)
            for post in body.get("posts", ()):
                self._see(reader, post["id"], datetime.fromisoformat(post["observed_at"]))
            reader.token = decode_token(body["id"]).offsets
        reader.queue.clear()
        reader.client.ready = True

    def _see(self, reader: Reader, post_id: str, observed_at: datetime) -> None:
        before = reader.seen_here.get(post_id)
        assert before is None or before < observed_at, "on one connection every observation of a post is newer"
        assert not self.strict or reader.seen.get(post_id, EPOCH) <= observed_at, "nor is one older than those before"
        reader.seen_here[post_id] = observed_at
        reader.seen[post_id] = max(observed_at, reader.seen.get(post_id, EPOCH))

    def read_missed(self, reader: Reader, most: int) -> None:
        """One read from Kafka for a reader that missed more than the tail keeps."""
        client = reader.client
        if client is None or client.resumed_to is None:
            return
        offsets = list(client.resumed_to)
        found = []
        for partition, end in enumerate(reader.until):
            for each in self.log[partition][offsets[partition] : min(offsets[partition] + most, end)]:
                offsets[partition] = each.offset + 1
                found.append(each)
        self.state.offer_missed(client, found, offsets)
        if offsets == reader.until:
            self.state.finish_resuming(client)

    def settle(self) -> None:
        """Everybody comes back and accepts all there is."""
        for reader in self.readers:
            self.come(reader)
        for _ in range(100):
            for reader in self.readers:
                self.read_missed(reader, 1000)
                self.accept(reader)
            self.tick()
        for reader in self.readers:
            self.accept(reader)

    def expected(self, reader: Reader) -> dict[str, datetime]:
        """By the log alone: the newest matching observation of each post since the reader first came that was news."""
        matches, wanted = Matcher(reader.filter), {}
        for records, begin in zip(self.log, reader.begin, strict=True):
            newest: dict[str, datetime] = {}
            for each in records:
                if each.id in newest and newest[each.id] >= each.observed_at:
                    continue
                newest[each.id] = each.observed_at
                if each.offset >= begin and matches(each):
                    wanted[each.id] = each.observed_at
        return wanted


readers = st.integers(0, 2)
observations = st.tuples(st.sampled_from(sorted(KEYS)), st.integers(1, 30), st.integers(1, 3))
steps = st.one_of(
    st.tuples(st.just("burst"), st.lists(observations, min_size=1, max_size=6)),
    st.tuples(st.just("tick")),
    st.tuples(st.sampled_from(["come", "come", "go", "accept"]), readers),
    st.tuples(st.just("fall_behind"), readers, st.lists(observations, min_size=9, max_size=12)),
    st.tuples(st.just("read_missed"), readers, st.integers(1, 3)),
)


@pytest.fixture(scope="module")
def _small_frames() -> Iterator[None]:
    """Frames of two posts, so that backlogs leave in several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_POSTS_A_FRAME", 2)
        yield


@pytest.mark.usefixtures("_small_frames")
@settings(max_examples=200)
@given(st.lists(steps, min_size=20, max_size=60), st.integers(2, 8))
def test_nothing_is_lost_and_no_post_goes_back_in_time_however_clients_come_and_go(
    script: list[tuple[Any, ...]], tail: int
) -> None:
    """Frames delivered but not accepted, tails too short, reads from Kafka that another disconnect interrupts."""
    world = World([Filter(), Filter(min_score=2), Filter(min_score=2)], tail)
    for name, *arguments in script:
        if name in {"burst", "tick"}:
            getattr(world, name)(*arguments)
        else:
            getattr(world, name)(world.readers[arguments[0]], *arguments[1:])
    world.settle()
    for reader in world.readers:
        for post_id, observed_at in world.expected(reader).items():
            seen = reader.seen.get(post_id, EPOCH)
            # When the topic has redelivered observations, a reader that resumes may see a newer one than it asked for,
            # but never an older one.
            assert seen == observed_at if world.strict else seen >= observed_at


def resuming() -> tuple[World, Reader]:
    """A reader that got the first two of six posts that it missed, and has four to come."""
    world = World([Filter()], tail=2)
    reader = world.readers[0]
    world.come(reader)
    world.fall_behind(reader, [(post_id, 1, 1) for post_id in KEYS])
    world.read_missed(reader, 1)
    world.tick()
    world.accept(reader)
    assert sorted(reader.seen) == ["p0", "p1"]
    return world, reader


def test_a_client_that_leaves_while_it_resumes_gets_the_rest_when_it_resumes_again() -> None:
    world, reader = resuming()
    world.go(reader)
    world.settle()
    assert sorted(reader.seen) == sorted(KEYS)


def test_records_that_come_while_a_client_resumes_wait_until_it_has_what_it_missed() -> None:
    """Otherwise a missed observation would follow a newer one of the same post."""
    world, reader = resuming()
    world.burst([("p5", 2, 1)])
    world.tick()
    world.accept(reader)
    assert sorted(reader.seen) == ["p0", "p1"]
    world.settle()
    assert reader.seen["p5"] == EPOCH + timedelta(seconds=2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30), st.integers(1, 5))
def test_a_backlog_leaves_in_the_order_of_offsets_and_keeps_the_newest(
    observed: list[tuple[str, int]], most: int
) -> None:
    backlog = Backlog()
    for offset, (post_id, seconds) in enumerate(observed):
        backlog.add(record(0, offset, post_id, seconds))
    newest = {post_id: max(s for other, s in observed if other == post_id) for post_id, _ in observed}
    taken: list[LiveRecord] = []
    while backlog:
        low = backlog.low_water([len(observed)])
        taken += backlog.take(most, 10**6)
        assert low[0] <= min(each.offset for each in taken[-1:])
    assert [each.offset for each in taken] == sorted(each.offset for each in taken)
    assert {each.id: (each.observed_at - EPOCH).total_seconds() for each in taken} == newest
