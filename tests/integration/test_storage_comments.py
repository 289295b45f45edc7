"""The table of comments: the same rows whatever the order, the repetition and the split of their observations."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import permutations
from random import Random
from typing import Any
from uuid import UUID

import pytest

from signalflow.errors import Invalid
from signalflow.events import EnrichedComment
from signalflow.storage import migrate
from signalflow.storage.comment_list import newest_of_each
from signalflow.storage.comment_writer import comment_is_stored, write_comments
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Progress, StoredBehind, count_as_stored, stored_positions
from signalflow.storage.writer import store_or_reject
from tests.integration.comment_rows import comment, fed, seen
from tests.integration.storage_rows import CREATED, NOON, contents, empty, pool_of
from tests.unit.streams.fakes import Record

TOPIC_ID = UUID(int=5)


async def stored(pool: Pool, id_: str = "c1") -> dict[str, Any]:
    (row,) = await pool.fetch("SELECT * FROM comments WHERE id = $1", id_)
    return dict(row)


async def test_a_reply_is_stored_before_its_parent_and_before_its_post(pool: Pool) -> None:
    await write_comments(pool, [seen(comment("c2", parent_id="t1_c1", depth=1, score=7))])
    row = await stored(pool, "c2")
    assert (row["post_id"], row["parent_id"], row["depth"], row["score"]) == ("abc", "t1_c1", 1, 7)
    assert (row["body"], row["sentiment_label"], row["sentiment_basis"]) == ("I love it", "positive", "as_written")
    assert row["first_seen_at"] == row["observed_at"] == row["score_observed_at"] == NOON


async def comments_after_the_upgrade(url: str, monkeypatch: pytest.MonkeyPatch, before: str, *rows: str) -> Any:
    """What the database has of these comments, which were stored before this revision. A row is SQL."""
    upgrade = migrate.command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(migrate.command, "upgrade", lambda config, _: upgrade(config, before))
        await migrate.upgrade(url)
    async with await pool_of(url) as pool:
        await pool.execute(
            "INSERT INTO comments (id, permalink, removed_by, author, body, sentiment_basis, post_id, subreddit,"
            " created_utc, first_seen_at, observed_at)"
            f" SELECT *, 'abc', 'python', now(), now(), now() FROM (VALUES {', '.join(rows)}) AS t"
        )
        await migrate.upgrade(url)
        return {row["id"]: row for row in await contents(pool, "comments")}


async def test_the_upgrade_takes_the_title_of_the_post_out_of_the_address_of_its_comments(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {
        "c1": "/r/python/comments/abc/a_secret_title/c1/",
        "c2": "/r/python/comments/abc/_/c2/",
        "c3": "/r/python/comments/abc//c3/",
        "c4": None,
    }
    rows = [
        f"('{id_}', {'NULL' if told is None else repr(told)}, NULL, 'ann', 'text', 'not_english')"
        for id_, told in addresses.items()
    ]
    found = await comments_after_the_upgrade(make_database(), monkeypatch, "0032", *rows)
    assert {id_: row["permalink"] for id_, row in found.items()} == {
        id_: told and f"/r/python/comments/abc/_/{id_}/" for id_, told in addresses.items()
    }


async def test_the_upgrade_takes_author_and_text_of_comments_that_were_taken_away(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await comments_after_the_upgrade(
        make_database(),
        monkeypatch,
        "0034",
        "('stands', NULL, NULL, 'ann', 'text', 'not_english')",
        "('named', NULL, 'moderator', 'ann', NULL, NULL)",
        "('told', NULL, 'deleted', 'ann', 'text', 'not_english')",
    )
    assert {id_: (row["author"], row["body"], row["sentiment_basis"]) for id_, row in found.items()} == {
        "stands": ("ann", "text", "not_english"),
        "named": (None, None, None),
        "told": (None, None, None),
    }


def expected(log: Sequence[EnrichedComment]) -> dict[str, Any]:
    """The row of one comment, computed from all its observations at once; no two are of the same moment."""
    in_order = sorted(log, key=lambda each: each.observed_at)
    newest = in_order[-1]
    scored = [each for each in in_order if each.comment.score is not None]
    detailed = [each for each in in_order if each.comment.is_submitter is not None]
    row: dict[str, Any] = {
        "first_seen_at": in_order[0].observed_at,
        "observed_at": newest.observed_at,
        "author": newest.comment.author,
        "body": newest.comment.body,
        "removed_by": newest.comment.removed_by,
        "sentiment_score": newest.sentiment.score if newest.sentiment else None,
        "score": scored[-1].comment.score if scored else None,
        "score_observed_at": scored[-1].observed_at if scored else None,
        "stickied": detailed[-1].comment.stickied if detailed else None,
        "edited_at": detailed[-1].comment.edited_at if detailed else None,
        "details_observed_at": detailed[-1].observed_at if detailed else None,
        "parent_id": next((each.comment.parent_id for each in log if each.comment.parent_id), None),
        "depth": next((each.comment.depth for each in log if each.comment.depth is not None), None),
    }
    return row


async def test_order_repetition_and_split_of_observations_change_nothing(pool: Pool) -> None:
    log = [
        seen(fed(), 0),
        seen(comment(score=3, stickied=True), 10),
        seen(comment(score=None, body="I love it, edited", edited_at=NOON + timedelta(seconds=15)), 20),
        seen(fed(body=None, author=None, removed_by="deleted"), 30),
        seen(comment(score=5, depth=2, body=None, author=None, removed_by="deleted"), 25),
    ]
    rnd = Random(1)
    for order in permutations(log):
        await empty(pool, ["comments"])
        repeated = [*order, rnd.choice(log)]
        place = 0
        while place < len(repeated):
            size = rnd.randint(1, 4)
            await write_comments(pool, repeated[place : place + size])
            place += size
        row = await stored(pool)
        assert {name: row[name] for name in expected(order)} == expected(order), [each.observed_at for each in order]


async def test_what_a_feed_does_not_tell_overwrites_nothing(pool: Pool) -> None:
    await write_comments(pool, [seen(comment(score=9, distinguished="admin", stickied=True), 0)])
    await write_comments(pool, [seen(fed(), 10)])
    row = await stored(pool)
    assert (row["score"], row["distinguished"], row["stickied"], row["parent_id"]) == (9, "admin", True, "t3_abc")
    assert row["observed_at"] == NOON + timedelta(seconds=10)
    await write_comments(pool, [seen(comment(score=8), 5)])
    row = await stored(pool)
    assert (row["score"], row["distinguished"], row["stickied"]) == (8, None, False)


async def test_of_two_observations_of_one_moment_the_first_counts(pool: Pool) -> None:
    await write_comments(pool, [seen(comment(score=1, body="first"), 5), seen(comment(score=2, body="second"), 5)])
    await write_comments(pool, [seen(comment(score=3, body="third"), 5)])
    row = await stored(pool)
    assert (row["score"], row["body"]) == (1, "first")


async def test_a_repetition_writes_no_row_anew(pool: Pool) -> None:
    rows = [seen(comment("c1", depth=0), 5), seen(fed("c2"), 5)]
    await write_comments(pool, rows)
    before = await pool.fetch("SELECT id, xmin FROM comments ORDER BY id")
    await write_comments(pool, [*rows, seen(comment("c1"), 5)])
    assert await pool.fetch("SELECT id, xmin FROM comments ORDER BY id") == before


async def test_the_text_of_a_comment_that_was_deleted_leaves_the_table(pool: Pool) -> None:
    await write_comments(pool, [seen(comment(body="the secret word"), 0)])
    await write_comments(pool, [seen(comment(body=None, author=None, removed_by="deleted"), 9)])
    assert "secret" not in repr(await contents(pool, "comments"))
    assert (await stored(pool))["sentiment_basis"] is None


async def test_the_moment_of_the_first_removal_is_noted_if_the_newest_observation_is_one(pool: Pool) -> None:
    gone: dict[str, Any] = {"body": None, "author": None, "removed_by": "deleted"}
    await write_comments(pool, [seen(comment("c1"), 0), seen(comment("c1", **gone), 9), seen(comment("c1", **gone), 5)])
    await write_comments(pool, [seen(comment("c2"), 9), seen(comment("c2", **gone), 5)])
    await write_comments(pool, [seen(comment("c1", **gone), 20), seen(comment("c3"), 1)])
    (noted,) = await contents(pool, "comment_erasures")
    assert (noted["comment_id"], noted["removed_by"]) == ("c1", "deleted")
    assert noted["seen_at"] == NOON + timedelta(seconds=5)


async def test_a_position_advances_with_the_rows_or_not_at_all(pool: Pool) -> None:
    await count_as_stored(pool, TOPIC_ID, 0, 4)
    progress = Progress(TOPIC_ID, {0: 4})
    records = [Record(4), Record(5)]
    rejected = await store_or_reject(
        write_comments, pool, [seen(comment("c1")), seen(comment("bad", depth=-1))], records, progress
    )
    assert [(each.index, isinstance(each.error, Invalid)) for each in rejected] == [(1, True)]
    assert [row["id"] for row in await contents(pool, "comments")] == ["c1"]
    assert (await stored_positions(pool, TOPIC_ID))[0].offset == 5
    with pytest.raises(StoredBehind):
        await write_comments(pool, [seen(comment("c3"))], Progress(TOPIC_ID, {0: 9}).advances([Record(9)]))
    assert [row["id"] for row in await contents(pool, "comments")] == ["c1"]
    await write_comments(pool, [], Progress(TOPIC_ID, {0: 5}).advances([Record(7)]))
    assert (await stored_positions(pool, TOPIC_ID))[0].offset == 8


async def test_an_observation_is_stored_when_the_table_has_it_or_a_newer_one(pool: Pool) -> None:
    assert not await comment_is_stored(pool, seen(comment(), 5))
    await write_comments(pool, [seen(comment(), 5)])
    assert await comment_is_stored(pool, seen(comment(), 5))
    assert await comment_is_stored(pool, seen(comment(), 4))
    assert not await comment_is_stored(pool, seen(comment(), 6))
    assert not await comment_is_stored(pool, seen(comment("c2"), 4))


async def test_the_newest_comments_of_each_subreddit_are_found_however_busy_the_others_are(pool: Pool) -> None:
    rows = [seen(comment(f"b{n}", created_utc=CREATED + timedelta(seconds=n)), subreddit="Busy") for n in range(20)]
    quiet = [seen(comment(f"q{n}", created_utc=CREATED - timedelta(days=n)), subreddit="quiet") for n in range(2)]
    await write_comments(pool, [*rows, *quiet, seen(comment("x"), subreddit="other")])
    until = {"busy": CREATED + timedelta(seconds=5), "quiet": None, "none": CREATED}
    found = await newest_of_each(pool, until, 3)
    newest_and_settled = ["b19", "b18", "b17", "b5", "b4", "b3"]
    assert sorted((each.subreddit, each.id) for each in found) == sorted(
        [("busy", id_) for id_ in newest_and_settled] + [("quiet", "q0"), ("quiet", "q1")]
    )
    assert {each.created for each in found if each.id == "b19"} == {CREATED.timestamp() + 19}
