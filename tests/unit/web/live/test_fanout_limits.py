"""Limits and counters of the fan-out: who is slow, what a heartbeat counts, and how much fits into a tick."""

import json
from typing import Any

import pytest

from tests.unit.web.live.fanouts import fanout, frames_of, posts, ready, take
from tests.unit.web.live.records import EPOCH, record
from web.live import fanout as module
from web.live.clients import Client, Limits
from web.live.fanout import MOST_HEARTBEATS_A_TICK, MOST_POSTS_A_FRAME, Fanout
from web.live.protocol import Filter
from web.live.token import decode_token

FEW = Limits(waiting_posts=2, stall_seconds=10, heartbeat_seconds=15)


def beat(state: Fanout, client: Client) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(state.heartbeat(client).text)
    return found


def counters(state: Fanout, client: Client) -> tuple[int, int, int]:
    told = beat(state, client)
    return told["sent"], told["skipped"], told["coalesced"]


def resuming(state: Fanout) -> Client:
    """A client that missed more than the tail has, up to what was told."""
    return ready(state, since=[0] * len(state.read))


# --- slow clients


def test_a_client_is_slow_once_more_posts_wait_than_are_allowed() -> None:
    state = fanout(limits=FEW)
    client = ready(state)
    client.ready = False
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    assert state.tick(1.0).slow == [], "as many as are allowed"
    take(state, record(0, 2, "b", 1))
    assert state.tick(2.0).slow == [], "a newer observation of a post that waits takes no room"
    take(state, record(0, 3, "c"))
    assert state.tick(3.0).slow == [client]


def test_a_tick_tells_what_newer_observations_replaced_while_they_waited_for_slow_clients() -> None:
    state = fanout()
    slow, other = ready(state), ready(state)
    slow.ready = False
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    assert state.tick(1.0).coalesced == 0
    other.ready = True
    # Three observations of one post within a tick are one for everybody; only what waits is replaced by it.
    take(state, record(0, 2, "a", 1), record(0, 3, "a", 2), record(0, 4, "c"))
    assert state.tick(2.0).coalesced == 1
    assert (slow.backlog.coalesced, other.backlog.coalesced) == (1, 0)
    assert state.tick(3.0).coalesced == 0


def test_what_came_since_a_client_resumed_counts_as_waiting_too() -> None:
    state = fanout(limits=FEW, tail=1)
    take(state, record(0, 0, "a"), record(0, 1, "b"), record(0, 2, "c"))
    state.tick(1.0)
    client = resuming(state)
    client.ready = False
    state.offer_missed(client, [record(0, 0, "a")], [1])
    take(state, record(0, 3, "d"))
    assert state.tick(2.0).slow == []
    take(state, record(0, 4, "e"))
    assert state.tick(3.0).slow == [client]


def test_a_client_is_slow_when_it_has_not_accepted_a_frame_for_longer_than_allowed() -> None:
    state = fanout(limits=FEW)
    client = ready(state)
    take(state, record(0, 0))
    state.tick(5.0)
    assert state.tick(15.0).slow == []
    assert state.tick(15.1).slow == [client]
    client.ready = True
    assert state.tick(15.2).slow == []


def test_the_time_to_accept_the_first_frame_begins_when_a_client_joins() -> None:
    state = fanout(limits=FEW)
    client = state.join(Filter(), 100.0)
    assert state.tick(110.0).slow == []
    assert state.tick(110.1).slow == [client]


# --- heartbeats


def test_a_heartbeat_is_due_so_long_after_joining_and_after_the_one_before() -> None:
    state = fanout()
    client = state.join(Filter(), 100.0)
    for before, due in ((114.9, 115.0), (129.9, 130.0)):
        client.ready = True
        assert state.tick(before).frames == []
        assert len(frames_of(state, client, due)) == 1


def test_a_client_that_has_not_accepted_its_last_frame_gets_no_heartbeat() -> None:
    state = fanout()
    client = state.join(Filter(), 0.0)
    assert state.tick(15.0).frames == []
    client.ready = True
    assert len(frames_of(state, client, 16.0)) == 1
    assert not client.ready


def test_posts_come_instead_of_a_heartbeat_that_is_due() -> None:
    state = fanout()
    client = ready(state)
    take(state, record(0, 0))
    assert [json.loads(frame.text)["type"] for frame in frames_of(state, client, 20.0)] == ["posts"]


def test_no_more_heartbeats_are_made_in_a_tick_than_allowed_and_the_others_follow() -> None:
    state = fanout()
    clients = {ready(state, Filter(min_score=number % 2)) for number in range(MOST_HEARTBEATS_A_TICK + 3)}
    first = {client for client, _ in state.tick(20.0).frames}
    second = {client for client, _ in state.tick(21.0).frames}
    assert (len(first), len(second)) == (50, 3)
    assert first | second == clients


def test_a_change_of_what_heartbeats_say_makes_all_of_them_due() -> None:
    state = fanout()
    clients = [ready(state), ready(state, Filter(min_score=1))]
    state.tick(0.5)
    state.beat_soon()
    assert [client for client, _ in state.tick(0.5).frames] == clients


def test_a_heartbeat_is_no_post() -> None:
    state = fanout()
    client = ready(state)
    state.tick(15.0)
    assert client.sent == 0


# --- counters


def test_sent_posts_add_up_over_shared_frames_and_frames_of_one_client() -> None:
    state = fanout()
    client = ready(state)
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    state.tick(1.0)
    take(state, record(0, 2, "c"))
    state.tick(2.0)
    client.ready = True
    state.tick(3.0)
    assert counters(state, client) == (3, 0, 0)


def test_what_a_new_filter_leaves_out_of_the_waiting_posts_is_added_to_the_skipped_ones() -> None:
    state = fanout(tail=2)
    take(state, *(record(0, offset, f"p{offset}") for offset in range(6)))
    state.tick(1.0)
    client = resuming(state)
    state.offer_missed(client, [record(0, offset, f"p{offset}", current_score=offset) for offset in range(3)], [3])
    take(state, record(0, 6, "x", current_score=1), record(0, 7, "y", current_score=9))
    client.ready = False
    state.tick(2.0)
    state.change(client, Filter(min_score=1))
    assert counters(state, client) == (0, 1, 0), "one of three"
    state.change(client, Filter(min_score=2))
    assert counters(state, client) == (0, 3, 0), "one of two, and one of the two that came meanwhile"


def test_missed_posts_that_the_filter_leaves_out_count_as_skipped() -> None:
    state = fanout(tail=2)
    take(state, *(record(0, offset, f"p{offset}", current_score=offset) for offset in range(6)))
    state.tick(1.0)
    near, far = ready(state, Filter(min_score=5), since=[4]), ready(state, Filter(min_score=2), since=[0])
    state.offer_missed(far, [record(0, offset, f"p{offset}", current_score=offset) for offset in range(6)], [6])
    assert (counters(state, near), counters(state, far)) == ((0, 1, 0), (0, 2, 0))
    assert (len(near.backlog), len(far.backlog)) == (1, 4)


def test_an_observation_that_a_newer_one_replaces_while_a_client_resumes_counts_once() -> None:
    state = fanout(tail=1)
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    state.tick(1.0)
    client = resuming(state)
    take(state, record(0, 2, "c", 1), record(0, 3, "x"))
    state.tick(2.0)
    take(state, record(0, 4, "c", 2))
    state.tick(3.0)
    assert counters(state, client) == (0, 0, 1)
    state.offer_missed(client, [record(0, 0, "a"), record(0, 1, "b")], [2])
    state.finish_resuming(client)
    assert counters(state, client) == (0, 0, 1)
    (frame,) = frames_of(state, client, 4.0)
    assert [post["id"] for post in posts(frame)] == ["a", "b", "x", "c"]


# --- clients that resume


def test_a_client_gets_what_it_missed_from_the_tail_and_nothing_of_the_next_tick_twice() -> None:
    state = fanout(tail=10)
    take(state, record(0, 0, "a"), record(0, 1, "b"), record(0, 2, "c"))
    state.tick(1.0)
    take(state, record(0, 3, "d"))
    client = ready(state, since=[1])
    assert client.resumed_to is None
    (frame,) = frames_of(state, client, 2.0)
    assert [post["id"] for post in posts(frame)] == ["b", "c", "d"]
    assert client.backlog.coalesced == 0


def test_the_token_of_a_client_that_resumes_stays_where_its_reading_is() -> None:
    state = fanout(partitions=2, tail=2)
    take(state, *(record(0, offset, f"a{offset}") for offset in range(4)), record(1, 0, "b0"), record(1, 1, "b1"))
    state.tick(1.0)
    client = ready(state, since=[0, 1])
    assert client.resumed_to == [0, 1]
    assert decode_token(beat(state, client)["id"]).offsets == (0, 1)
    state.offer_missed(client, [record(0, 0, "a0"), record(0, 1, "a1")], [2, 1])
    client.backlog.take(1, 10**6)
    assert decode_token(beat(state, client)["id"]).offsets == (1, 1), "a record waits"
    client.backlog.drain()
    assert decode_token(beat(state, client)["id"]).offsets == (2, 1)
    state.finish_resuming(client)
    assert decode_token(beat(state, client)["id"]).offsets == (4, 2)


def test_a_missed_record_is_not_offered_after_a_newer_one_of_its_post() -> None:
    state = fanout(tail=1)
    take(state, record(0, 0, "a", 5), record(0, 1, "x"), record(0, 2, "y"))
    state.tick(1.0)
    client = resuming(state)
    state.offer_missed(client, [record(0, 0, "a", 5), record(0, 1, "x", 3)], [2])
    # Redelivered records: older than what the process knows, and older than what this client was offered.
    state.offer_missed(client, [record(0, 3, "a", 4), record(0, 4, "x", 2), record(0, 5, "z")], [6])
    assert [each.offset for each in client.backlog.drain()] == [0, 1, 5]


def test_a_client_that_has_resumed_shares_frames_again() -> None:
    state = fanout(tail=1)
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    state.tick(1.0)
    client, other = resuming(state), ready(state)
    state.offer_missed(client, [record(0, 0, "a"), record(0, 1, "b")], [2])
    state.finish_resuming(client)
    client.backlog.drain()
    take(state, record(0, 2, "c"))
    frames = dict(state.tick(2.0).frames)
    assert frames[client] is frames[other]


# --- start-up and ticks


def test_records_of_the_start_up_are_kept_for_clients_that_resume_and_sent_to_no_other() -> None:
    state = fanout(tail=10)
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    state.finish_priming()
    assert (state.told, state.room) == ([2], MOST_POSTS_A_FRAME)
    fresh, back = ready(state), ready(state, since=[1])
    assert [receiver for receiver, _ in state.tick(1.0).frames] == [back]
    assert decode_token(beat(state, fresh)["id"]).offsets == (2,)


def test_a_tick_has_room_for_so_many_records_and_a_record_for_nobody_takes_none() -> None:
    state = fanout()
    state.take(0, 0, None)
    assert (state.read, state.room) == ([1], 500)
    take(state, *(record(0, 1 + offset, f"p{offset}") for offset in range(502)))
    assert (state.read, state.room) == ([503], 0)
    state.tick(1.0)
    assert state.room == 500


def test_posts_that_are_too_large_for_one_frame_are_sent_to_each_client_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = [record(0, 0, "a"), record(0, 1, "b")]
    both = sum(each.size for each in pair)
    for most, ids in ((both, ["a", "b"]), (both - 1, ["a"])):
        monkeypatch.setattr(module, "MOST_BYTES_A_FRAME", most)
        state = fanout()
        clients = [ready(state), ready(state)]
        take(state, *pair)
        frames = dict(state.tick(1.0).frames)
        assert [[post["id"] for post in posts(frames[client])] for client in clients] == [ids, ids]
        assert (frames[clients[0]] is frames[clients[1]]) is (len(ids) == 2)


def test_a_client_with_a_backlog_gets_the_new_posts_behind_it_while_the_others_share_a_frame() -> None:
    state = fanout()
    behind, one, two = ready(state), ready(state), ready(state)
    behind.ready = False
    take(state, record(0, 0, "a"))
    state.tick(1.0)
    for client in (behind, one, two):
        client.ready = True
    take(state, record(0, 1, "b"))
    frames = dict(state.tick(2.0).frames)
    assert [post["id"] for post in posts(frames[behind])] == ["a", "b"]
    assert frames[one] is frames[two]
    assert [post["id"] for post in posts(frames[one])] == ["b"]
    assert decode_token(json.loads(frames[one].text)["id"]).offsets == (2,)


def test_each_group_gets_what_its_filter_lets_through() -> None:
    state = fanout()
    low, high = ready(state, Filter(min_score=1)), ready(state, Filter(min_score=5))
    take(state, record(0, 0, "a", current_score=1), record(0, 1, "b", current_score=9))
    frames = dict(state.tick(1.0).frames)
    assert [post["id"] for post in posts(frames[low])] == ["a", "b"]
    assert [post["id"] for post in posts(frames[high])] == ["b"]
    assert state.clients == [low, high]


def test_a_reset_tells_its_reason_and_where_the_stream_goes_on() -> None:
    state = fanout()
    take(state, record(0, 0))
    state.tick(1.0)
    told = json.loads(state.reset(ready(state), "expired").text)
    assert (told["type"], told["reason"], decode_token(told["id"]).offsets) == ("reset", "expired", (1,))


def test_a_missed_record_is_stale_by_what_the_process_knows_or_by_what_the_client_was_offered() -> None:
    for since, newer_seconds, offered in ((1, None, []), (0, 9, [0])):
        state = fanout(tail=1)
        log = [record(0, 0, "a", 5), record(0, 1, "a", 3)]
        take(state, *log, record(0, 2, "x"))
        if newer_seconds is not None:
            # The process remembers only the newest record, which comes after the redelivered one.
            take(state, record(0, 3, "a", newer_seconds))
        take(state, record(0, 4, "y"), record(0, 5, "z"))
        state.tick(1.0)
        client = ready(state, since=[since])
        state.offer_missed(client, log[since:], [2])
        assert [each.offset for each in client.backlog.drain()] == offered


def test_what_was_replaced_before_a_client_had_resumed_stays_counted() -> None:
    state = fanout(tail=1)
    take(state, record(0, 0, "a"), record(0, 1, "b"))
    state.tick(1.0)
    client = resuming(state)
    take(state, record(0, 2, "c", 1), record(0, 3, "c", 2))
    state.tick(2.0)
    state.change(client, Filter(min_score=1))
    take(state, record(0, 4, "c", 3))
    state.tick(3.0)
    assert counters(state, client) == (0, 0, 2), "one within a tick, one while it waited"
    state.finish_resuming(client)
    assert counters(state, client) == (0, 0, 2)


def test_a_heartbeat_tells_since_when_kafka_is_away() -> None:
    state = fanout()
    client = ready(state)
    assert beat(state, client)["stale_since"] is None
    state.stale_since = EPOCH
    assert beat(state, client)["stale_since"] == "2026-01-01T00:00:00Z"
