"""Comments that were deleted are erased, however old they are and whoever polls: days of virtual time."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import mean

import pytest

from signalflow.domain.comment_planner import StoredComment
from signalflow.domain.comment_refresh import LOOKED_AT_UNTIL
from signalflow.domain.known import StoredPost
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.sweep import StoredText
from signalflow.events import Comment, CommentEnvelope
from signalflow.reddit.observations import text_state
from signalflow.settings import Settings
from signalflow.simulator.changes import CommentDeleted
from signalflow.simulator.comments import Comment as TrueComment
from signalflow.simulator.comments import comment_at, post_and_place
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simulator import Simulator
from tests.contract.poller_run import CommentWorld, World, kill, poller_of
from tests.contract.virtual_time import EPOCH, VirtualLoop, client_of, now, patched_clocks, simulator_of, utc

pytestmark = pytest.mark.slow

HOUR = 3600.0
DAY = 24 * HOUR
FOLLOWED = ("python", "rust")
# Requests a minute, and how many of them are for listings: few, so that days are quick.
BUDGET, LISTINGS = 4.0, 0.5
# The test ends so long after a comment can be deleted last: a round of the sweep, and what a batch waits.
ROUND = 2 * HOUR


@dataclass
class CommentTable(CommentWorld):
    """Keeps the newest observation of each comment, as the database does."""

    rows: dict[str, Comment] = field(default_factory=dict)

    async def publish(self, envelopes: Sequence[CommentEnvelope]) -> list[bool]:
        self.rows |= {envelope.payload.id: envelope.payload for envelope in envelopes}
        return await super().publish(envelopes)

    async def texts_after(self, id_: str, created_before: datetime, most: int) -> Sequence[StoredText]:
        old = sorted(
            row.id
            for row in self.rows.values()
            if row.id > id_ and row.created_utc < created_before and row.removed_by != "deleted"
        )
        rows = (self.rows[each] for each in old[:most])
        return [StoredText(row.id, text_state(row.removed_by, row.edited_at, row.author)) for row in rows]


class Days:
    """A simulator, what is stored of it, and one poller after the other."""

    def __init__(self, sweep_comments_per_minute: float) -> None:
        self.settings = Settings(
            reddit_base_url="http://simulator",
            reddit_client_id="",
            config_refresh_seconds=60,
            requests_per_minute=BUDGET,
            listing_requests_per_minute=LISTINGS,
            refresh_ids_per_minute=5,
            sweep_comments_per_minute=sweep_comments_per_minute,
            discover_minutes=0,
            first_look_hours=0,
        )
        self.comments = CommentTable()
        configured = [Subreddit(name, 600, "fast", comments=True) for name in FOLLOWED]
        self.world = World(comments=self.comments, configured=configured)
        # Without faults: all that is deleted is in the truth.
        parameters = Parameters(seed=11, epoch=EPOCH, history=2 * HOUR, life=0.0, stories_per_hour=0.0, activity=0.15)
        self.simulator: Simulator = simulator_of(Config(parameters))
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A poller begins with what is stored."""
        client = client_of(self.simulator, self.settings.reddit_timeout)
        world = self.world
        world.known = [
            StoredPost(
                each.payload.id, each.payload.subreddit, each.payload.created_utc.timestamp(),
                each.metadata.observed_at.timestamp(), each.payload.score, each.payload.num_comments, False, 0.0,
                text_state(each.payload.removed_by, each.payload.edited_at, each.payload.author),
            )
            for each in world.published
        ]  # fmt: skip
        self.comments.stored = [
            StoredComment(each.payload.id, each.metadata.subreddit.lower(), each.payload.created_utc.timestamp())
            for each in self.comments.published
        ]
        world.configured = [
            replace(
                each,
                polled_at=_seconds(world.polled.get(each.name)),
                comments_polled_at=_seconds(self.comments.polled.get(each.name)),
            )
            for each in world.configured
        ]
        self._task = asyncio.create_task(poller_of(self.settings, client, world, clock=utc, pace=60 / BUDGET).run())

    async def stop(self) -> None:
        """The poller is killed."""
        await kill(self._task)

    def comment(self, id_: str, at: float) -> TrueComment:
        """A comment as it really was at that time."""
        found = post_and_place(id_)
        assert found is not None
        post = self.simulator.world.post(found[0], at)
        assert post is not None
        comment = comment_at(post, found[1], at)
        assert comment is not None
        return comment

    def gone(self, until: float) -> set[str]:
        """The stored comments that are old enough for the sweep, and that their authors had deleted until then."""
        old = (id_ for id_, row in self.comments.rows.items() if row.created_utc.timestamp() < until - LOOKED_AT_UNTIL)
        return {id_ for id_ in old if (self.comment(id_, until).deleted_at or until) < until}

    def delete_one(self) -> str:
        """The author of the oldest comment that has a text deletes it now; returns its id."""
        written = [row for row in self.comments.rows.values() if row.body is not None]
        oldest = self.comment(min(written, key=lambda row: (row.created_utc, row.id)).id, now())
        self.simulator.world.apply(CommentDeleted(oldest.post.number, oldest.place, now()))
        return oldest.id


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


async def days(run: Days) -> dict[str, float]:
    """Poll for two days, with a restart on the first; returns the comments that were deleted by hand, and when."""
    deleted: dict[str, float] = {}
    run.start()
    await asyncio.sleep(3 * HOUR)
    await run.stop()
    deleted[run.delete_one()] = now()
    await asyncio.sleep(HOUR / 2)
    run.start()
    await asyncio.sleep(EPOCH + 1.8 * DAY - now())
    deleted[run.delete_one()] = now()
    await asyncio.sleep(ROUND)
    await run.stop()
    return deleted


def polled(sweep_comments_per_minute: float) -> tuple[Days, dict[str, float], float]:
    """The days, what was deleted by hand, and when they ended."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        run = Days(sweep_comments_per_minute)

        async def all_of_it() -> tuple[dict[str, float], float]:
            return await days(run), now()

        deleted, ended = runner.run(all_of_it())
    return run, deleted, ended


def most_in_a_minute(moments: Sequence[float]) -> int:
    """The most requests of any minute."""
    return max(bisect_left(moments, at + 60.0) - index for index, at in enumerate(moments))


def found_after(run: Days) -> dict[str, float]:
    """How old each post was when it was found, in seconds."""
    new = [each for each in run.world.published if each.mode == "new"]
    return {
        each.payload.id: each.metadata.observed_at.timestamp() - each.payload.created_utc.timestamp() for each in new
    }


def test_comments_that_are_deleted_late_or_while_nobody_polls_are_erased_and_posts_are_found_as_quickly() -> None:
    run, deleted, ended = polled(100.0)
    without, *_ = polled(0.0)
    stay = {id_: row.removed_by for id_, row in without.comments.rows.items() if id_ in deleted}
    assert stay == dict.fromkeys(deleted), "nothing else looks at them"

    rows, gone = run.comments.rows, run.gone(ended - ROUND)
    assert deleted.keys() <= rows.keys()
    assert {id_: rows[id_].removed_by for id_ in deleted} == dict.fromkeys(deleted, "deleted")
    assert len(gone) > 4
    assert {rows[id_].removed_by for id_ in gone} == {"deleted"}
    assert {(row.author, row.body) for row in rows.values() if row.removed_by} == {(None, None)}

    assert most_in_a_minute([entry.sim for entry in run.simulator.entries]) <= BUDGET
    told, told_without = found_after(run), found_after(without)
    assert told.keys() == told_without.keys()
    # A single listing may wait for a request of the sweep that was made just before.
    assert max(told.values()) <= max(told_without.values()) + 60 / BUDGET
    assert mean(told.values()) == pytest.approx(mean(told_without.values()), rel=0.01)
