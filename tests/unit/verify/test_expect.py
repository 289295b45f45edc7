"""The oracle against numbers that were computed by hand from the definitions."""

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.verify import Rules, Scope, expected
from signalflow.verify.expect import ASKED_FOR, Expected, PostRow, columns_that_differ, possible_rows, text_digest
from signalflow.verify.spool import HistoryRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Topic:
    """Raw records of one partition, from offset 0. Unless given, they are appended 1 s after they were observed."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def see(
        self, seconds: float, score: int | None = 0, comments: int = 0, *, post: str = "a", mode: str = "refresh",
        created: datetime = NOON, appended: float | None = None, **more: Any,
    ) -> None:  # fmt: skip
        payload = {
            "id": post, "subreddit": "python", "author": None, "title": "A table", "created_utc": created.isoformat(),
            "score": score, "num_comments": comments,
        } | more  # fmt: skip
        envelope = {
            "entity_type": "reddit_submission", "source": "test", "mode": mode, "emitted_at": at(seconds).isoformat(),
            "payload": payload, "metadata": {"subreddit": "python", "observed_at": at(seconds).isoformat()},
        }  # fmt: skip
        self.add(json.dumps(envelope).encode(), post.encode(), seconds + 1 if appended is None else appended)

    def add(self, value: bytes | None, key: bytes | None = b"a", appended: float = 0, **headers: bytes) -> None:
        self.records.append(
            SimpleNamespace(
                topic="raw", partition=0, offset=len(self.records), key=key, value=value,
                headers=tuple(headers.items()), timestamp=int(at(appended).timestamp() * 1000),
            )
        )  # fmt: skip

    def expected(self, scope: Scope = Scope()) -> Expected:  # noqa: B008, frozen
        return expected(self.records, Rules(), scope)


def velocities(log: Expected) -> dict[float, tuple[float | None, float | None]]:
    return {(row.observed_at - NOON).total_seconds(): (row.score_velocity, row.comment_velocity) for row in log.history}


def only(log: Expected) -> list[HistoryRow]:
    return list(log.history)


def test_velocity_is_the_difference_to_the_newest_earlier_observation_the_log_knew() -> None:
    topic = Topic()
    topic.see(0, 100, 4)
    topic.see(60, 160, 10)
    topic.see(30, 130)  # late: it comes after the one at 60 s
    topic.see(120, 40, 10)
    topic.see(120.5, 50)  # half a second counts as one second
    assert velocities(topic.expected()) == {
        0: (None, None),
        60: (1.0, 0.1),
        30: (None, None),
        120: (-2.0, 0.0),
        120.5: (10.0, -10.0),
    }


def test_of_two_records_at_the_same_moment_the_first_counts() -> None:
    topic = Topic()
    for score in (100, 0):
        topic.see(0, 10, title="First")
        topic.see(10, score, title="Second" if score else "Third")
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.title, row.current_score, row.score_velocity) == ("Second", 100, 9.0)
    topic.see(20, 130)
    assert velocities(topic.expected()) == {0: (None, None), 10: (9.0, 0.0), 20: (3.0, 0.0)}


def test_numbers_body_and_first_seen_at_have_guards_of_their_own() -> None:
    topic = Topic()
    topic.see(100, 5, body="new text", removed_by=None)
    topic.see(50, 3, body="old text", title="Old")  # late, with an older text
    topic.see(200, 9, edited_at=at(150).isoformat())  # has no body field
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.first_seen_at, row.last_polled_at, row.text_observed_at) == (at(50), at(200), at(100))
    assert (row.title, row.current_score, row.edited_at) == ("A table", 9, at(150))
    assert row.body == text_digest("new text")


def test_of_a_post_that_was_taken_away_no_text_is_expected_until_it_is_back() -> None:
    topic = Topic()
    topic.see(100, 5, body="text", url="https://example.org/", flair="News", permalink="/r/python/a", author="ann")
    topic.see(200, 9, title="Still told", author="ann", removed_by="moderator")
    topic.see(150, 7, body="late text")
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.title, row.author, row.url, row.permalink, row.flair, row.body) == ("", *(None,) * 5)
    assert (row.current_score, row.removed_by, row.text_observed_at) == (9, "moderator", at(200))
    topic.see(300, 8, body="text", removed_by=None)
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.title, row.removed_by, row.body) == ("A table", None, text_digest("text"))


def test_a_backfilled_post_leaves_no_history_and_fills_only_what_is_empty() -> None:
    topic = Topic()
    topic.see(0, 100)
    topic.see(60, 700)
    topic.see(-3600, 1, mode="backfill", body="archived")
    log = topic.expected()
    assert velocities(log) == {0: (None, None), 60: (10.0, 0.0)}
    row = log.posts["a"].row
    assert row is not None
    assert (row.current_score, row.first_seen_at, row.body) == (700, at(-3600), text_digest("archived"))


def test_an_observation_without_a_score_replaces_no_number_and_leaves_no_history() -> None:
    topic = Topic()
    topic.see(0, 100)
    topic.see(60, None, mode="backfill", title="Newer")
    log = topic.expected()
    row = log.posts["a"].row
    assert row is not None
    assert (row.title, row.current_score) == ("Newer", 100)
    topic.see(120, None)
    topic.see(180, 220)
    log = topic.expected()
    assert not log.letters
    assert velocities(log) == {0: (None, None), 180: (120 / 180, 0.0)}


A_FEED = {"title": "Newest", "num_comments": None, "over_18": None, "is_self": True, "url": "/r/python/a"}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_api_file_and_feed_each_column_follows_the_newest_that_told_it(order: tuple[int, ...]) -> None:
    topic = Topic()
    for number in order:
        if number == 0:
            topic.see(0, 100, 5, over_18=True, flair="News", upvote_ratio=0.9)
        elif number == 1:
            topic.see(60, None, 9, mode="backfill", over_18=False, flair="Talk", upvote_ratio=0.1)
        else:
            topic.see(120, None, **A_FEED)
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.title, row.last_polled_at) == ("Newest", at(120))
    assert (row.current_comments, row.over_18, row.flair, row.url) == (9, False, "Talk", None)
    assert (row.current_score, row.current_ratio) == (100, 0.9)
    assert (row.score_observed_at, row.details_observed_at) == (at(0), at(60))


def test_a_feed_alone_tells_its_link_and_the_kind_of_post() -> None:
    topic = Topic()
    topic.see(0, None, **A_FEED)
    topic.see(60, None, **A_FEED | {"is_self": None, "url": None})
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.current_score, row.current_comments, row.over_18) == (None, None, None)
    assert (row.is_self, row.url, row.trending_score) == (True, "/r/python/a", 0.0)
    assert columns_that_differ(row, stored_as(row), None) == []
    assert columns_that_differ(row, stored_as(row, current_score=0, over_18=False), None) == [
        "over_18",
        "current_score",
    ]


def stored_as(row: PostRow, **changes: Any) -> dict[str, Any]:
    """The row as the table has it: moments that are the newest are null."""
    times = {
        name: None if value == row.last_polled_at else value
        for name in ("score_observed_at", "details_observed_at")
        if (value := getattr(row, name))
    }
    return row._asdict() | {"body": None} | times | changes


def test_a_row_of_the_version_before_may_have_null_velocities_of_a_newer_file() -> None:
    topic = Topic()
    topic.see(0, 100)
    topic.see(60, 160, 10)
    topic.see(120, None, 12, mode="backfill")
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.current_score, row.score_velocity, row.score_observed_at) == (160, 1.0, at(60))
    earlier = stored_as(row, score_observed_at=None, score_velocity=None, comment_velocity=None)
    assert columns_that_differ(row, earlier, None) == []
    assert columns_that_differ(row, earlier | {"current_comments": 10}, None) == ["current_comments"]
    assert columns_that_differ(row, stored_as(row, score_velocity=None), None) == ["score_velocity"]


def test_text_that_is_left_after_its_post_was_taken_away_is_found() -> None:
    topic = Topic()
    topic.see(0, 100, flair="News", body="text")
    # It tells no comments, so that the flair and the link are still those of the observation before.
    topic.see(60, None, num_comments=None, is_self=None, over_18=None, removed_by="moderator")
    row = topic.expected().posts["a"].row
    assert row is not None
    erased = stored_as(row, flair=None, details_observed_at=at(0), score_observed_at=at(0))
    assert (row.erased_until, erased["title"]) == (at(60), "")
    assert columns_that_differ(row, erased, None) == []
    for name in ("author", "title", "url", "permalink", "flair", "body"):
        assert columns_that_differ(row, erased | {name: "left"}, None) == [name]
    assert columns_that_differ(row, erased | {"erased_until": None}, None) == ["erased_until"]


def test_a_post_whose_erasure_was_asked_for_has_no_text_whatever_is_observed() -> None:
    topic = Topic()
    topic.see(0, 100, author="ann", body="text", flair="News")
    row = topic.expected().posts["a"].row
    assert row is not None
    asked = stored_as(row, erased_until=ASKED_FOR, title="", author=None, flair=None, body=None)
    assert columns_that_differ(row, asked, None) == []
    assert columns_that_differ(row, asked | {"author": "ann"}, None) == ["author"]
    assert columns_that_differ(row, asked | {"erased_until": at(0)}, None) != []


def test_a_post_of_which_an_observation_says_that_its_erasure_was_asked_for_is_erased_for_good() -> None:
    topic = Topic()
    topic.see(0, 100, author="ann", body="text")
    topic.see(60, 110, author=None, title="", body=None, removed_by="request")
    topic.see(120, 120, author=None, body="text again")
    row = topic.expected().posts["a"].row
    assert row is not None
    assert row.erased_until == ASKED_FOR
    erased = stored_as(row, title="", body=None)
    assert columns_that_differ(row, erased, None) == []
    assert columns_that_differ(row, erased | {"erased_until": at(60)}, None) != []


def test_a_feed_that_takes_the_score_away_is_found() -> None:
    topic = Topic()
    topic.see(0, 100)
    topic.see(60, None, **A_FEED)
    row = topic.expected().posts["a"].row
    assert row is not None
    lost = stored_as(row, score_observed_at=None, details_observed_at=None, current_score=None, current_comments=None)
    assert set(columns_that_differ(row, lost, None)) == {
        "current_score", "current_comments", "score_observed_at", "details_observed_at",
    }  # fmt: skip


def test_a_post_older_than_its_state_has_no_velocity() -> None:
    topic = Topic()
    day = 86_400
    topic.see(2 * day - 1, 1)
    topic.see(2 * day, 2)
    assert velocities(topic.expected()) == {2 * day - 1: (None, None), 2 * day: (None, None)}


@pytest.mark.parametrize(("late", "velocity"), [(3600 - 1, 1.0), (3600, None), (90_000, None)])
def test_an_observation_more_than_an_hour_late_has_no_velocity_whenever_its_state_is_removed(
    late: int, velocity: float | None
) -> None:
    topic = Topic()
    two_days = 2 * 86_400
    topic.see(two_days - 100, 1)
    topic.see(two_days + 2, 1, post="b", created=NOON + timedelta(days=1), appended=two_days + late)
    topic.see(two_days - 50, 51, appended=two_days + late)
    rows = only(topic.expected())
    assert [(row.post_id, row.score_velocity, row.velocity_known) for row in rows] == [
        ("a", None, True),
        ("a", velocity, True),
        ("b", None, True),
    ]


def test_where_the_log_goes_back_in_time_a_velocity_that_depends_on_a_timer_is_not_compared() -> None:
    topic = Topic()
    two_days = 2 * 86_400
    topic.see(two_days - 100, 1)
    topic.see(two_days + 7201, 1, post="b", created=NOON + timedelta(days=1))
    topic.see(two_days - 50, 51, appended=two_days)
    rows = only(topic.expected())
    known = [(row.post_id, row.velocity_known, row.trend_known) for row in rows]
    assert known == [("a", True, True), ("a", False, False), ("b", True, True)]


@pytest.mark.parametrize(
    ("title", "velocity", "comments", "score", "is_trending"),
    [
        ("A table", 50.0, 100, 0.2, False),
        ("A table", 50.1, 101, 0.6, True),
        ("A table", 10.0, 101, 0.2, False),
        ("This is great, I love it", 11.0, 101, 0.6, True),
        ("This is horrible, I hate it", 51.0, 0, 0.6, True),
        ("A table", 51.0, 0, 0.4, False),
    ],
)
def test_trending_counts_what_exceeds_its_limit(
    title: str, velocity: float, comments: int, score: float, is_trending: bool
) -> None:
    topic = Topic()
    topic.see(0, 0, comments, title=title)
    topic.see(1000, int(velocity * 1000), comments, title=title)
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.trending_score, row.is_trending) == (score, is_trending)


def trends(log: Expected) -> dict[float, tuple[float | None, bool]]:
    return {(row.observed_at - NOON).total_seconds(): (row.trend_velocity, row.trend_known) for row in log.history}


def test_the_trend_velocity_is_a_difference_over_five_minutes_without_the_noise_of_votes() -> None:
    topic = Topic()
    for second, score in ((600, 1000), (610, 1010), (670, 1500), (660, 0), (899, 1800), (905, 1800), (915, 1020),
                          (960, 1020), (970, 1900), (980, 2000)):  # fmt: skip
        topic.see(second, score)
    assert trends(topic.expected()) == {
        600: (None, True), 610: (None, True), 670: (None, True), 660: (None, True), 899: (None, True),
        905: (800 / 305, True), 915: (0.0, True), 960: (0.0, True),
        970: (400 / 300, True), 980: (500 / 310, True),
    }  # fmt: skip


def test_a_post_first_seen_below_the_age_of_five_minutes_is_compared_with_that_observation() -> None:
    topic = Topic()
    for post, first in (("a", 299), ("b", 300)):
        for second, score in ((first, 10), (first + 10, 20), (first + 100, 110)):
            topic.see(second, score, post=post)
    rows = only(topic.expected())
    assert [(row.post_id, row.trend_velocity) for row in rows] == [
        ("a", None), ("a", 1.0), ("a", 1.0), ("b", None), ("b", None), ("b", None),
    ]  # fmt: skip


def test_a_jump_between_two_refreshes_is_no_trend() -> None:
    topic = Topic()
    for second, score in ((0, 80_000), (300, 80_000), (310, 80_804)):
        topic.see(second, score, 500, title="This is great, I love it")
    row = topic.expected().posts["a"].row
    assert row is not None
    assert (row.score_velocity, row.trend_velocity) == (80.4, 0.0)
    assert (row.trending_score, row.is_trending) == (0.4, False)


def test_from_the_middle_of_a_log_a_trend_velocity_is_certain_once_its_whole_window_was_read() -> None:
    topic = Topic()
    topic.see(100, 10, created=at(-3600))  # an earlier one of this minute, or of the five before, may be missing
    topic.see(130, 10, created=at(-3600))
    topic.see(410, 1000, created=at(-3600))
    topic.see(430, 1000, created=at(-3600))
    topic.see(200, 10, post="b", created=at(100))
    topic.see(210, 20, post="b", created=at(100))
    log = topic.expected(Scope(start=NOON))
    assert [(row.post_id, row.trend_velocity, row.trend_known) for row in log.history] == [
        ("a", None, False), ("a", None, False), ("a", 990 / 310, False), ("a", 3.3, True),
        ("b", None, False), ("b", 1.0, True),
    ]  # fmt: skip
    row = log.posts["a"].row
    assert row is not None
    wrong = row._asdict() | {"body": None, "trend_velocity": 7.0, "is_trending": True, "score_velocity": 7.0}
    assert columns_that_differ(row, wrong, at(60)) == ["score_velocity", "trend_velocity", "is_trending"]
    assert columns_that_differ(row._replace(trend_known=False), wrong, at(60)) == ["score_velocity"]


def test_a_record_that_must_be_set_aside_has_no_rows_and_a_dead_letter() -> None:
    topic = Topic()
    topic.see(0, 1)
    topic.add(b"{", attempt=b"3")
    topic.add(None)
    topic.see(10, 2**31)
    topic.see(20, 1, appended=20 - 86_401)  # observed more than a day after it was appended
    topic.see(-(2**30), 1, created=at(-(2**30)))  # 1991
    log = topic.expected()
    assert len(only(log)) == 1
    assert {place: (letter.stage, letter.attempt) for place, letter in log.letters.items()} == {
        (0, 1): ("validate", 3),
        (0, 2): ("validate", 1),
        (0, 3): ("validate", 1),
        (0, 4): ("validate", 1),
        (0, 5): ("write", 1),
    }


def test_the_letter_of_a_row_that_the_tables_refuse_is_due_once_the_sink_has_committed_it() -> None:
    """The sink stores the rows of a batch, then sends the letters, then commits."""
    topic = Topic()
    topic.see(-(2**30), 1, created=at(-(2**30)))  # 1991
    sending = topic.expected(Scope(stored={0: 1}, enriched={0: 1}, written={0: 0}))
    committed = topic.expected(Scope(stored={0: 1}, enriched={0: 1}, written={0: 1}))
    assert [log.letters[0, 0].due for log in (sending, committed)] == [False, True]


def test_a_row_is_due_only_when_the_sink_has_passed_it_and_until_then_may_be_older() -> None:
    topic = Topic()
    for moment in range(4):
        topic.see(60 * moment, moment)
    log = topic.expected(Scope(stored={0: 2}, enriched={0: 3}))
    assert [row.due for row in log.history] == [True, True, False, False]
    assert [row and row.current_score for row in possible_rows(log.posts["a"])] == [3, 2, 1]
    untouched = topic.expected(Scope(stored={}, enriched={}))
    assert [row and row.current_score for row in possible_rows(untouched.posts["a"])] == [3, 2, 1, 0, None]


def test_from_the_middle_of_a_log_only_what_it_tells_is_compared() -> None:
    topic = Topic()
    topic.see(-300, 5)  # may be late: earlier records are unknown
    topic.see(100, 10)
    topic.see(160, 70)
    log = topic.expected(Scope(start=NOON))
    assert [(row.score_velocity, row.velocity_known) for row in log.history] == [
        (None, False),
        (5 / 400, False),
        (1.0, True),
    ]
    row = log.posts["a"].row
    assert row is not None
    stored = row._asdict() | {"body": "from before", "first_seen_at": at(-900), "text_observed_at": at(-900)}
    assert columns_that_differ(row, stored, at(60)) == []
    assert columns_that_differ(row, stored | {"current_score": 71, "first_seen_at": at(1)}, at(60)) == [
        "current_score",
        "first_seen_at",
    ]
    assert columns_that_differ(row, stored, None) == ["first_seen_at", "text_observed_at", "body"]


def test_a_post_whose_partition_changed_has_no_velocity_until_its_second_observation_there() -> None:
    topic = Topic()
    for second in (0, 60, 120, 180):
        topic.see(second, score=second)
    for record in topic.records[2:]:
        record.partition, record.offset = 5, record.offset - 2
    assert velocities(topic.expected()) == {0: (None, None), 60: (1, 0), 120: (None, None), 180: (1, 0)}


def test_of_one_moment_in_two_partitions_either_velocity_may_be_stored() -> None:
    topic = Topic()
    for second in (0, 60, 60):
        topic.see(second, score=second)
    topic.records[2].partition, topic.records[2].offset = 5, 0
    for records in (topic.records, topic.records[2:] + topic.records[:2]):
        log = expected(records, Rules())
        assert [(row.velocity_known, row.trend_known) for row in log.history] == [(True, True), (False, False)]
        (row,) = (row for row in possible_rows(log.posts["a"]) if row is not None)
        assert (row.last_polled_at, row.velocity_known, row.trend_known) == (at(60), False, False)


def test_one_moment_in_two_partitions_is_due_when_either_record_is() -> None:
    topic = Topic()
    topic.see(0)
    topic.see(0)
    topic.records[1].partition, topic.records[1].offset = 5, 0
    (row,) = only(topic.expected(Scope(stored={5: 1})))
    assert row.due
    assert row.velocity_known


def test_a_record_that_was_sent_again_changes_no_expectation_also_where_its_original_is_gone() -> None:
    topic = Topic()
    topic.see(60, 10)
    topic.see(120, 70)
    before = topic.expected()
    for original in list(topic.records):
        topic.add(original.value, appended=200, replay_of=f"0:{original.offset}".encode())
    after = topic.expected()
    assert list(after.history) == list(before.history)
    assert after.posts["a"].row == before.posts["a"].row
    # What aged out of the log is not judged by its copy, which would be late.
    del topic.records[0]
    scope = Scope(start=at(100))
    assert [row.observed_at for row in topic.expected(scope).history] == [at(120)]
