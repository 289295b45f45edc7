"""What the poller and the workers store: configuration, known posts, gaps, heartbeats."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from signalflow.domain.known import StoredPost
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.errors import Invalid
from signalflow.storage.audit import audit_page
from signalflow.storage.gaps import advance_gap, close_gap, open_gap, open_gaps
from signalflow.storage.known import known_posts, mark_not_shown
from signalflow.storage.overview import first_open_gaps
from signalflow.storage.pool import Pool
from signalflow.storage.subreddit_changes import (
    Change,
    add_subreddits,
    change_subreddits,
    put_subreddits,
    remove_subreddits,
)
from signalflow.storage.subreddits import (
    active_subreddits,
    list_subreddits,
    load_defaults,
    mark_comments_polled,
    mark_polled,
    mark_state,
)
from signalflow.storage.workers import forget_worker, heartbeat, live_workers
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import CREATED, NOON, column, observation

DEFAULTS = [WatchedSubreddit("Python", 60, "fast"), WatchedSubreddit("rust", 180, "medium")]


async def active(pool: Pool) -> list[tuple[str, int, str]]:
    """The subreddits that are polled."""
    return [(row.name, row.interval_seconds, row.priority) for row in await active_subreddits(pool)]


async def test_loading_the_defaults_again_keeps_what_the_operator_changed(pool: Pool) -> None:
    assert await load_defaults(pool, DEFAULTS) == 2
    await remove_subreddits(pool, ["RUST"], by="ann", now=NOON)
    await change_subreddits(pool, ["python"], Change(priority="slow", interval_seconds=600), by="ann", now=NOON)
    assert await load_defaults(pool, [*DEFAULTS, WatchedSubreddit("go", 60, "fast")]) == 1
    assert await active(pool) == [("go", 60, "fast"), ("Python", 600, "slow")]


async def test_a_paused_subreddit_is_listed_but_not_polled(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    await change_subreddits(pool, ["python"], Change(paused=True), by="ann", now=NOON)
    assert [row[0] for row in await active(pool)] == ["rust"]
    assert [(row.name, row.paused) for row in await list_subreddits(pool)] == [("Python", True), ("rust", False)]
    await change_subreddits(pool, ["python"], Change(paused=False), by="ann", now=NOON)
    assert len(await active(pool)) == 2


async def test_a_removed_subreddit_can_be_added_again_and_begins_anew(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    await mark_state(pool, "rust", "private", NOON)
    await mark_polled(pool, {"rust": NOON})
    await remove_subreddits(pool, ["rust"], by="ann", now=NOON)
    for _ in range(2):
        rows = await add_subreddits(pool, ["Rust"], Change(priority="fast"), by="ann", now=NOON)
        assert [(row.name, row.state, row.changed_by) for row in rows] == [("Rust", "unchecked", "ann")]
        assert [row.last_polled_at for row in rows] == [NOON]
    assert await active(pool) == [("Python", 60, "fast"), ("Rust", 60, "fast")]


async def test_adding_what_is_watched_keeps_its_priority_and_spelling(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    await add_subreddits(pool, ["PYTHON"], Change(), by="ann", now=NOON)
    assert ("Python", 60, "fast") in await active(pool)
    await add_subreddits(pool, ["python"], Change(interval_seconds=30), by="ann", now=NOON)
    assert ("Python", 30, "fast") in await active(pool)


async def test_a_change_says_who_and_when_in_the_row_and_in_the_audit_log(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    later = NOON + timedelta(hours=1)
    await change_subreddits(pool, ["python"], Change(paused=True), by="ann", now=NOON)
    await change_subreddits(pool, ["python", "rust"], Change(paused=True), by="bob", now=later)
    rows = {row.name: (row.changed_by, row.changed_at) for row in await list_subreddits(pool)}
    assert rows == {"Python": ("ann", NOON), "rust": ("bob", later)}
    entries = await audit_page(pool, before=None, limit=10)
    assert [(entry.who, entry.action, entry.target) for entry in entries] == [
        ("bob", "subreddit.change", "2 subreddits"),
        ("ann", "subreddit.change", "Python"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        WatchedSubreddit("no spaces", 60, "fast"),
        WatchedSubreddit("python", 0, "fast"),
        WatchedSubreddit("python", 90_000, "fast"),
        WatchedSubreddit("python", 60, "quick"),  # type: ignore[arg-type]
    ],
)
async def test_a_subreddit_out_of_range_is_refused_with_the_whole_file(pool: Pool, row: WatchedSubreddit) -> None:
    with pytest.raises(Invalid):
        await load_defaults(pool, [WatchedSubreddit("fine", 60, "fast"), row])
    with pytest.raises(Invalid):
        await put_subreddits(pool, [row], by="ann", now=NOON)
    assert await active(pool) == []


async def test_a_change_with_an_unknown_subreddit_changes_none(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    with pytest.raises(Invalid, match="nosuch"):
        await change_subreddits(pool, ["python", "nosuch"], Change(paused=True), by="ann", now=NOON)
    with pytest.raises(Invalid, match="nosuch"):
        await remove_subreddits(pool, ["rust", "nosuch"], by="ann", now=NOON)
    assert len(await active(pool)) == 2


async def test_what_the_poller_found_of_a_subreddit_is_kept(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    await mark_polled(pool, {"PYTHON": NOON, "rust": NOON + timedelta(minutes=1)})
    await mark_polled(pool, {"python": NOON - timedelta(hours=1)})
    await mark_state(pool, "Rust", "private", NOON)
    found = [(row.name, row.state, row.checked_at, row.last_polled_at) for row in await active_subreddits(pool)]
    assert found == [("Python", "unchecked", None, NOON), ("rust", "private", NOON, NOON + timedelta(minutes=1))]
    assert await column(pool, "subreddit_config", "polled_since") == [NOON, NOON + timedelta(minutes=1)]
    await mark_polled(pool, {"python": NOON + timedelta(hours=1)})
    assert await column(pool, "subreddit_config", "polled_since") == [NOON, NOON + timedelta(minutes=1)], "stays"


async def test_the_last_poll_of_comments_is_kept_beside_that_of_posts_and_never_goes_back(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    await mark_comments_polled(pool, {"PYTHON": NOON})
    await mark_comments_polled(pool, {"python": NOON - timedelta(hours=1)})
    found = [(row.to_poll.polled_at, row.to_poll.comments_polled_at) for row in await active_subreddits(pool)]
    assert found == [(None, NOON.timestamp()), (None, None)]


async def test_a_state_keeps_its_beginning_until_it_changes(pool: Pool) -> None:
    await load_defaults(pool, DEFAULTS)
    begun: list[datetime | None] = []
    for hour, state in enumerate(("private", "private", "banned", "ok", "ok", "private")):
        await mark_state(pool, "Rust", state, NOON + timedelta(hours=hour))
        begun += [row.checked_at for row in await active_subreddits(pool) if row.name == "rust"]
    assert begun == [NOON + timedelta(hours=hour) for hour in (0, 0, 2, 3, 3, 5)]


async def test_known_posts_carry_their_newest_observation(pool: Pool) -> None:
    old = observation("old", 0, created_utc=CREATED - timedelta(days=3))
    newest = observation("a", 10, current_score=7, current_comments=2, score_velocity=0.6, removed_by="moderator")
    await write_batch(pool, [observation("a", 0), newest, old])
    seen_at = newest.observed_at.timestamp()
    expected = StoredPost("a", "python", CREATED.timestamp(), seen_at, 7, 2, False, 0.6, ("moderator", None))
    assert await known_posts(pool, CREATED) == [expected]
    since = newest.observed_at + timedelta(minutes=5)
    await mark_not_shown(pool, {"a": since})
    assert await known_posts(pool, CREATED) == [expected._replace(not_shown_since=since.timestamp())]


async def test_a_post_without_a_score_is_known_and_nothing_of_it_changes(pool: Pool) -> None:
    seen = observation("a", 0, mode="backfill", current_score=None, score_velocity=None)
    await write_batch(pool, [seen])
    at = seen.observed_at.timestamp()
    expected = StoredPost("a", "python", CREATED.timestamp(), at, None, seen.current_comments, True, 0.0, (None, None))
    assert await known_posts(pool, CREATED) == [expected]


async def test_an_open_gap_can_be_continued(pool: Pool) -> None:
    opening: dict[str, Any] = {
        "subreddits": ["python", "rust"],
        "anchor_ids": ["a", "b", "c"],
        "since": CREATED,
        "opened_at": NOON,
    }
    first = await open_gap(pool, after=None, **opening)
    second = await open_gap(pool, after="t3_x", **opening)
    await advance_gap(pool, first, "t3_z", 2, CREATED + timedelta(minutes=5))
    await close_gap(pool, second, "proven")
    (gap,) = await open_gaps(pool)
    assert (gap.record, gap.subreddits, gap.anchor_ids) == (first, ("python", "rust"), ("a", "b", "c"))
    assert (gap.since, gap.opened_at) == (CREATED.timestamp(), NOON.timestamp())
    assert (gap.after, gap.pages, gap.until) == ("t3_z", 2, CREATED.timestamp() + 300)


async def test_gaps_between_posts_and_between_comments_are_kept_apart(pool: Pool) -> None:
    opening: dict[str, Any] = {"anchor_ids": [], "since": CREATED, "after": None, "opened_at": NOON}
    of_posts = await open_gap(pool, subreddits=["a"], **opening)
    of_comments = await open_gap(pool, subreddits=["b"], **opening, kind="comments")
    assert [gap.record for gap in await open_gaps(pool)] == [of_posts]
    assert [gap.record for gap in await open_gaps(pool, "comments")] == [of_comments]
    of_first_look = await open_gap(pool, subreddits=["c"], **opening, kind="first_look")
    assert [gap.record for gap in await open_gaps(pool, "first_look")] == [of_first_look]
    assert [(gap.id, gap.kind) for gap in (await first_open_gaps(pool, 9))[1]] == [
        (of_posts, "posts"),
        (of_comments, "comments"),
    ]


async def test_a_closed_gap_is_neither_advanced_nor_closed_again(pool: Pool) -> None:
    gap = await open_gap(pool, subreddits=["python"], anchor_ids=[], since=CREATED, after=None, opened_at=NOON)
    await close_gap(pool, gap, "given_up")
    with pytest.raises(Invalid):
        await advance_gap(pool, gap, None, 3)
    with pytest.raises(Invalid):
        await close_gap(pool, gap, "proven")
    assert await column(pool, "listing_gaps", "outcome") == ["given_up"]


async def test_a_worker_is_live_as_long_as_it_reports(pool: Pool) -> None:
    report: dict[str, Any] = {"web_url": "http://127.0.0.1:6066", "state": "running", "is_poller": True}
    await heartbeat(pool, name="one", pid=1, **report)
    await heartbeat(pool, name="two", pid=2, **report)
    started = (await live_workers(pool))[0].started_at
    await pool.execute("UPDATE workers SET heartbeat_at = heartbeat_at - interval '1 minute'")
    await heartbeat(pool, name="one", pid=1, **report)
    (live,) = await live_workers(pool)
    assert (live.name, live.pid, live.web_url, live.is_poller, live.started_at) == (
        "one",
        1,
        report["web_url"],
        True,
        started,
    )


async def test_a_worker_that_stops_does_not_remove_its_successor(pool: Pool) -> None:
    for pid in (1, 2):
        await heartbeat(pool, name="one", pid=pid, web_url="", state="running", is_poller=False)
    await forget_worker(pool, name="one", pid=1)
    assert [worker.pid for worker in await live_workers(pool)] == [2]
    await forget_worker(pool, name="one", pid=2)
    assert await live_workers(pool) == []
