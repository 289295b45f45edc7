"""Old posts are checked for deletion beside everything else that the poller does."""

import asyncio

import pytest

from signalflow.domain.erasure import Erased
from signalflow.domain.sweep import StoredText
from signalflow.metrics import REGISTRY
from signalflow.reddit import erasures, sweep_polling
from signalflow.reddit.observations import text_state
from tests.contract import poller_run
from tests.contract.poller_run import World, begin, finds, running
from tests.waiting import until

pytestmark = pytest.mark.slow

STANDS = (None, None, True)


@pytest.mark.usefixtures("quick")
async def test_what_became_of_old_posts_is_published_and_the_round_goes_on_from_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but the sweep may observe the posts, and the next look comes at once.
    monkeypatch.setattr(poller_run, "REFRESH_IDS_PER_MINUTE", 0)
    monkeypatch.setattr(sweep_polling, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(sweep_polling, "SHORTEST_ROUND", 0.0)
    monkeypatch.setattr(erasures, "LOOK_EVERY", 0.05)
    async with running(world) as run:
        await begin(run)
        added = sorted(await run.add("python", 7))
        await until(lambda: set(world.ids("new")).issuperset(added), "the new posts")
        asked_for, deleted, removed, edited, restored, still_removed, stands = added
        world.erased = Erased(posts={asked_for})
        for id_ in (restored, still_removed):
            await run.control(remove=f"t3_{id_}", category="moderator")
        await run.control(restore=f"t3_{restored}")
        await run.control(delete=f"t3_{deleted}")
        await run.control(remove=f"t3_{removed}", category="reddit")
        await run.control(edit=f"t3_{edited}")
        seen_before = len(world.published)
        gone = text_state("moderator", None, None)
        world.texts = [StoredText(id_, gone if id_ in (restored, still_removed) else STANDS) for id_ in added]
        await until(lambda: "" in world.swept, "the end of a round")
        await finds(run)
    refreshed = {e.payload.id: e.payload for e in world.published[seen_before:] if e.mode == "refresh"}
    assert {id_: refreshed[id_].removed_by for id_ in (asked_for, deleted, removed, edited)} == {
        asked_for: "request",
        deleted: "deleted",
        removed: "reddit",
        edited: None,
    }
    assert refreshed[restored].removed_by is None
    assert refreshed[restored].title != ""
    assert still_removed not in refreshed, "it is as it is stored"
    for id_ in (asked_for, deleted, removed):
        assert (refreshed[id_].title, refreshed[id_].author, refreshed[id_].body) == ("", None, None)
    assert refreshed[edited].edited_at is not None
    assert isinstance(refreshed[edited].body, str | None), "the new text travels with it"
    assert world.swept[:2] == [stands, ""]
    asked = REGISTRY.get_sample_value("signalflow_reddit_requests_total", {"kind": "sweep", "outcome": "ok"})
    assert asked is not None
    assert asked >= 1


@pytest.mark.usefixtures("quick")
async def test_while_the_database_is_away_polling_goes_on_without_the_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_polling, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(sweep_polling, "SHORTEST_ROUND", 0.0)
    async with running(world) as run:
        await begin(run)
        world.is_database_away = True
        await until(lambda: world.database_refusals > 0, "a refusal")
        world.texts = [StoredText(id_, STANDS) for id_ in sorted(await run.add("python", 2))]
        await finds(run)
        assert world.swept == []
        world.is_database_away = False
        await asyncio.wait_for(until(lambda: "" in world.swept, "a round"), 60)
