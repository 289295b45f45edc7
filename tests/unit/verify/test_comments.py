"""The oracle of comments against rows that were written by hand from the definitions."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.verify import Rules, Scope
from signalflow.verify.comments import CommentOracle, ExpectedComments
from signalflow.verify.compare_comments import compare_comments
from signalflow.verify.expect import text_digest
from signalflow.verify.letters import Letters, RawTopic, compare_letters
from signalflow.verify.report import Missing, TableReport

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
# What the API tells beside what a feed tells.
TOLD: dict[str, Any] = {
    "score": 5, "parent_id": "t3_p", "depth": 0, "controversiality": 0, "is_submitter": False, "distinguished": None,
    "stickied": False, "edited_at": None,
}  # fmt: skip


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Topic:
    """Records of the topic of comments in one partition, from offset 0."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def see(self, seconds: float, *, comment: str = "c", partition: int = 0, **fields: Any) -> None:
        payload = {
            "id": comment, "post_id": "p", "author": "ann", "body": "I love it", "created_utc": NOON.isoformat(),
            "permalink": "/c/", **TOLD, **fields,
        }  # fmt: skip
        envelope = {
            "entity_type": "reddit_comment", "source": "test", "mode": "new", "emitted_at": at(seconds).isoformat(),
            "payload": payload, "metadata": {"subreddit": "Python", "observed_at": at(seconds).isoformat()},
        }  # fmt: skip
        self.add(json.dumps(envelope).encode(), appended=seconds, partition=partition)

    def see_in_feed(self, seconds: float, **fields: Any) -> None:
        self.see(seconds, **dict.fromkeys(TOLD), **fields)

    def add(self, value: bytes | None, key: bytes = b"p", appended: float = 0, partition: int = 0) -> None:
        self.records.append(
            SimpleNamespace(
                topic="comments", partition=partition, offset=len(self.records), key=key, value=value, headers=(),
                timestamp=int(at(appended).timestamp() * 1000),
            )
        )  # fmt: skip

    def expected(self, scope: Scope = Scope()) -> ExpectedComments:  # noqa: B008, frozen
        oracle = CommentOracle(Rules(), scope)
        for record in self.records:
            oracle.take(record)
        return oracle.expected


def stored(seconds: float = 0, **changes: Any) -> dict[str, Any]:
    """The row of comment c after one observation by the API."""
    fields = {
        "id": "c", "post_id": "p", "created_utc": NOON, "subreddit": "Python", "author": "ann", "body": "I love it",
        "permalink": "/c/", "removed_by": None, "first_seen_at": at(seconds), "observed_at": at(seconds),
        "score_observed_at": at(seconds), "details_observed_at": at(seconds), "sentiment_score": 0.6369,
        "sentiment_label": "positive", "sentiment_basis": "as_written", **TOLD,
    }  # fmt: skip
    return fields | changes


async def compared(expected: ExpectedComments, *rows: dict[str, Any]) -> tuple[TableReport, set[str]]:
    async def found() -> AsyncIterator[dict[str, Any]]:
        for row in rows:
            yield row

    missing = set[str]()
    report = await compare_comments(found(), expected, missing, expected.start)
    expected.close()
    return report, missing


def numbers(report: TableReport) -> tuple[int, int, int, int, int, int]:
    return report.expected, report.found, report.missing, report.extra, report.wrong, report.unchecked


async def test_each_group_of_columns_follows_its_own_newest_observation() -> None:
    topic = Topic()
    topic.see_in_feed(10, body="First")
    topic.see(20, body="Second", score=7, stickied=True)
    topic.see_in_feed(30, body="I love it", author="bob")
    topic.see(15, body="Late", score=99)
    topic.see(20, body="Repeated moment", score=99)
    report, _ = await compared(
        topic.expected(),
        stored(30, author="bob", first_seen_at=at(10), score=7, score_observed_at=at(20), stickied=True,
               details_observed_at=at(20)),
    )  # fmt: skip
    assert numbers(report) == (1, 1, 0, 0, 0, 0), report.examples


async def test_what_is_told_once_is_what_was_told_first() -> None:
    topic = Topic()
    topic.see(30, depth=None)
    topic.see(10, depth=3, parent_id="t1_x", created_utc=at(-5).isoformat())
    report, _ = await compared(topic.expected(), stored(30, first_seen_at=at(10), depth=3))
    assert numbers(report) == (1, 1, 0, 0, 0, 0), report.examples


@pytest.mark.parametrize(
    "damage",
    [
        {"body": "I hate it", "sentiment_score": -0.5719, "sentiment_label": "negative"},
        *({name: value} for name, value in {
            "author": None, "score": 6, "post_id": "q", "parent_id": "t1_c", "depth": 1, "subreddit": "python",
            "created_utc": at(1), "first_seen_at": at(-1), "observed_at": at(1), "score_observed_at": at(1),
            "is_submitter": True, "stickied": None, "distinguished": "moderator", "edited_at": NOON,
            "details_observed_at": at(1), "controversiality": 1, "permalink": None, "removed_by": "moderator",
            "sentiment_score": 0.6, "sentiment_label": "neutral",
        }.items()),
    ],
    ids=str,
)  # fmt: skip
async def test_every_damaged_column_is_found(damage: dict[str, Any]) -> None:
    topic = Topic()
    topic.see(0)
    report, _ = await compared(topic.expected(), stored(0, **damage))
    assert numbers(report) == (1, 1, 0, 0, 1, 0)
    assert next(iter(damage)).removesuffix("_score").removesuffix("_label") in report.examples[0]


async def test_a_deleted_comment_has_neither_text_nor_sentiment() -> None:
    topic = Topic()
    topic.see(0)
    topic.see(10, author="ann", body="I love it", removed_by="author")
    gone: dict[str, Any] = {"author": None, "body": None, "removed_by": "author", "observed_at": at(10)}
    later = {"score_observed_at": at(10), "details_observed_at": at(10)}
    nothing = dict.fromkeys(("sentiment_score", "sentiment_label", "sentiment_basis"))
    assert (await compared(topic.expected(), stored(0, **gone, **later, **nothing)))[0].differences == 0
    kept, _ = await compared(topic.expected(), stored(0, **gone, **later))
    assert kept.examples == ["wrong: c: sentiment 0.6369 positive"]


async def test_a_comment_of_which_an_observation_says_that_its_erasure_was_asked_for_stays_without_words() -> None:
    topic = Topic()
    topic.see(0)
    topic.see(10, author=None, body=None, removed_by="request")
    # Its author's account is deleted, and Reddit goes on to show the text.
    topic.see(20, author=None)
    nothing = dict.fromkeys(("sentiment_score", "sentiment_label", "sentiment_basis", "author", "body", "permalink"))
    row = stored(20, first_seen_at=at(0), **nothing)
    assert (await compared(topic.expected(), row))[0].differences == 0
    assert (await compared(topic.expected(), row | {"permalink": "/c/"}))[0].differences == 1


async def test_a_comment_is_missing_or_extra_only_where_the_log_says_so() -> None:
    topic = Topic()
    for comment in ("a", "c", "e"):
        topic.see(0, comment=comment)
    report, missing = await compared(topic.expected(Scope(stored={0: 2})), stored(id="b"), stored())
    assert numbers(report) == (2, 2, 1, 1, 0, 0)
    assert (report.examples, missing) == (["missing: a", "extra: b"], {"a"})


async def test_what_is_on_its_way_may_be_stored_or_not() -> None:
    topic = Topic()
    topic.see(0)
    topic.see(10, score=6)
    newer = stored(10, first_seen_at=at(0), score=6)
    for rows in ([], [stored()], [newer]):
        report, _ = await compared(topic.expected(Scope(stored={0: 0})), *rows)
        assert report.differences == 0, report.examples
    for row, wrong in ((stored(), 0), (newer, 0), (stored(score=6), 1)):
        report, _ = await compared(topic.expected(Scope(stored={0: 1})), row)
        assert (report.differences, report.missing) == (wrong, 0), report.examples
    assert (await compared(topic.expected(Scope(stored={0: 2})), stored()))[0].wrong == 1


async def test_a_comment_that_is_stored_though_not_due_counts_as_found_and_not_as_expected() -> None:
    topic = Topic()
    topic.see(0)
    report, _ = await compared(topic.expected(Scope(stored={0: 0})), stored())
    assert numbers(report) == (0, 1, 0, 0, 0, 0)


async def test_where_clocks_may_differ_an_observation_that_was_not_read_may_be_the_newer_one() -> None:
    start = at(0)
    topic = Topic()
    topic.see(30)
    row = stored(30, first_seen_at=at(-100), author="of another observation", score=9)
    assert (await compared(topic.expected(Scope(start=start)), row))[0].differences == 0
    topic.see(90)
    row |= {"observed_at": at(90), "score_observed_at": at(90), "details_observed_at": at(90)}
    assert (await compared(topic.expected(Scope(start=start)), row))[0].wrong == 1


async def test_a_row_from_before_the_part_that_was_read_is_not_judged_by_what_is_on_its_way() -> None:
    topic = Topic()
    topic.see(0)
    scope = Scope(start=at(-3600), stored={0: 0})
    report, _ = await compared(topic.expected(scope), stored(-3590, author="before"))
    assert (report.differences, report.unchecked) == (0, 1)
    assert (await compared(topic.expected(scope), stored(-3000, author="before")))[0].wrong == 1


async def test_without_is_submitter_no_detail_is_told() -> None:
    topic = Topic()
    topic.see(0, is_submitter=None, controversiality=1, stickied=True, distinguished="moderator")
    details = ("controversiality", "is_submitter", "distinguished", "stickied", "edited_at", "details_observed_at")
    assert (await compared(topic.expected(), stored(0, **dict.fromkeys(details))))[0].differences == 0


async def test_with_a_part_of_the_log_only_what_it_tells_is_compared() -> None:
    start = at(-3600)
    topic = Topic()
    topic.see_in_feed(0)
    older = stored(-7200, observed_at=NOON, score=1, depth=7)
    assert (await compared(topic.expected(Scope(start=start)), older))[0].differences == 0
    assert (await compared(topic.expected(Scope(start=start)), older | {"author": None}))[0].wrong == 1
    from_then_on = stored(-60, observed_at=NOON, score=1)
    assert (await compared(topic.expected(Scope(start=start)), from_then_on))[0].wrong == 1
    report, _ = await compared(topic.expected(Scope(start=start)), stored(-7200, id="b"), older, stored(id="d"))
    assert numbers(report) == (1, 3, 0, 1, 0, 1)


async def test_records_of_two_partitions_have_no_order() -> None:
    topic = Topic()
    topic.see(0)
    topic.see(0, score=6, partition=1)
    report, _ = await compared(topic.expected(), stored(score=6))
    assert (report.differences, report.unchecked) == (0, 1)


def letter(offset: int, record: Any, stage: str = "validate", error_type: str = "Invalid") -> Any:
    ours = {
        "topic": "comments", "partition": "0", "offset": str(offset), "stage": stage, "error_type": error_type,
        "error": "e", "attempt": "1", "worker": "w", "failed_at": NOON.isoformat(),
        "topic_id": "00000000-0000-0000-0000-000000000001",
    }  # fmt: skip
    return SimpleNamespace(
        topic="dlq", partition=0, offset=0, timestamp=record.timestamp, key=record.key, value=record.value,
        headers=tuple((f"dlq_{name}", text.encode()) for name, text in ours.items()),
    )  # fmt: skip


def post_and_comments(*dead: Any) -> Letters:
    letters = Letters(RawTopic("raw"), (RawTopic("comments"),))
    for each in dead:
        letters.take(each)
    return letters


@pytest.mark.parametrize(
    "fields",
    [{"parent_id": "t5_p"}, {"depth": -1}, {"score": 1.5}, {"body": 7}, {"id": "C"}, {"stickied": 0}, {"post_id": "q"}],
    ids=str,
)
def test_a_bad_record_must_be_a_dead_letter_and_no_row(fields: dict[str, Any]) -> None:
    topic = Topic()
    topic.see(0, **fields)
    log = topic.expected(Scope(enriched={0: 1}))
    assert list(log) == []
    none, found = post_and_comments(), post_and_comments(letter(0, topic.records[0]))
    report = compare_letters({"comments": log}, none, Missing())
    assert (report.expected, report.examples) == (1, ["missing: comments partition 0 offset 0"])
    assert compare_letters({"comments": log}, found, Missing()).differences == 0
    log.close()


@pytest.mark.parametrize(("error_type", "extra"), [("TooSlow", 0), ("Invalid", 1)])
async def test_a_comment_that_the_table_refused_is_not_missed_and_told_unless_the_server_was_slow(
    error_type: str, extra: int
) -> None:
    topic = Topic()
    topic.see(0)
    letters = post_and_comments(letter(0, topic.records[0], "write", error_type))
    assert letters.set_aside("raw") == {}
    log = topic.expected(Scope(set_aside=letters.set_aside("comments")))
    assert compare_letters({"comments": log}, letters, Missing()).extra == extra
    report, missing = await compared(log)
    assert (report.differences, missing) == (0, set())


def test_a_valid_comment_that_was_set_aside_as_invalid_is_told_and_not_expected() -> None:
    topic = Topic()
    topic.see(0)
    letters = post_and_comments(letter(0, topic.records[0]))
    log = topic.expected(Scope(set_aside=letters.set_aside("comments")))
    assert list(log) == []
    report = compare_letters({"comments": log}, letters, Missing())
    assert report.examples == ["extra: comments partition 0 offset 0, stage validate: the record is valid"]
    log.close()


def test_bodies_are_kept_as_digests() -> None:
    topic = Topic()
    topic.see(0, body="a\x00b")
    log = topic.expected()
    [row] = [comment.rows[0] for comment in log]
    assert row is not None
    assert row.body == text_digest("a\ufffdb")
    log.close()
