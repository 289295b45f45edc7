"""Posts that a filter held back and a moderator approved, in virtual time: all are found, and told apart.

The poller is killed and started again in between.
"""

import asyncio

import pytest

from signalflow.metrics import POSTS_FOUND_LATE
from signalflow.simulator.subreddits import base36
from tests.contract.coverage_scene import HOUR, MARGIN, MINUTE, Scene
from tests.contract.virtual_time import EPOCH, VirtualLoop, now, patched_clocks

pytestmark = pytest.mark.slow

# Two looks at the pages below the newest one lie half an hour apart.
FOUND_WITHIN = 35 * MINUTE
# Within this time no post comes into the lower half of its listing, although there are five times as many as usual.
APPROVED_WITHIN = 10 * MINUTE


def late_posts(scene: Scene, until: float) -> set[str]:
    """Posts that became visible some time after their creation, and stayed."""
    return {
        base36(post.number)
        for post in scene.simulator.world.new_posts_between(EPOCH + MARGIN, until)
        if post.subreddit.key in scene.ledger.polled
        and (span := next(iter(post.visible_spans()), None)) is not None
        and 30 <= span[0] - post.created <= APPROVED_WITHIN
        and span[1] is None
    }


def created_before_and_shown_after(scene: Scene, moment: float) -> set[str]:
    """Posts that were held back at this moment."""
    return {
        base36(post.number)
        for post in scene.simulator.world.new_posts_between(moment - APPROVED_WITHIN, moment)
        if (span := next(iter(post.visible_spans()), None)) is not None and span[0] > moment
    }


def test_posts_that_were_approved_late_are_found_below_the_newest_page_and_counted() -> None:
    async def hours() -> tuple[Scene, float, float]:
        scene = Scene(first_look_hours=0.0, activity=5.0, life=1.5)
        scene.start()
        await asyncio.sleep(0.6 * HOUR)
        await scene.stop()
        restart = now()
        scene.start()
        await asyncio.sleep(0.65 * HOUR)
        end = now()
        await scene.stop()
        return scene, restart, end

    before = POSTS_FOUND_LATE._value.get()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        scene, restart, end = runner.run(hours())
    late = late_posts(scene, end - FOUND_WITHIN - APPROVED_WITHIN)
    found = [envelope.payload.id for envelope in scene.ledger.published if envelope.mode == "new"]
    assert len(late) > 30
    assert late & created_before_and_shown_after(scene, restart), "the restart is in the way of some"
    assert late - set(found) == set()
    assert len(found) == len(set(found)), "each is new once"
    found_late = POSTS_FOUND_LATE._value.get() - before
    assert found_late > 30
    second_looks = [run for run in scene.ledger.run_book.reports(end) if run.kind == "second_look"]
    assert sum(run.new for run in second_looks) == found_late, "the run history tells of them"
    assert all(run.outcome in ("ok", "running", "stopped") for run in second_looks)
