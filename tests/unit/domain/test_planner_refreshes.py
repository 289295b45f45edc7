"""What the planner publishes again, and which posts it asks Reddit for by their ids."""

from itertools import pairwise

import pytest

from signalflow.domain.fetch import Fetch
from signalflow.domain.fetches import ListingFetch, RefreshFetch
from signalflow.domain.known import CHECKPOINTS
from signalflow.domain.planner import ANY_ID, Planner
from tests.unit.domain.listing_world import START, Harness, World, fast, harness, known


def test_a_changed_post_is_published_again_and_once_more_when_it_stops_changing() -> None:
    run = harness()
    (post,) = run.world.add(1)
    run.run(31)
    assert run.published == [(post, True, True), (post, False, False)]
    run.published.clear()
    run.world.change(post, score=7)
    run.run(31)
    assert run.published == [(post, False, False), (post, False, False)]
    run.published.clear()
    run.world.change(post, comments=3)
    run.run(31)
    assert len(run.published) == 2


@pytest.mark.parametrize("change", [{"state": ("deleted", None)}, {"text": 2}])
def test_a_changed_state_or_text_travels_with_its_body(change: dict[str, object]) -> None:
    run = harness()
    (post,) = run.world.add(1)
    run.run(31)
    run.published.clear()
    run.world.change(post, **change)
    run.run(31)
    assert run.published == [(post, False, True)]


def test_a_post_is_published_at_most_once_in_five_seconds() -> None:
    planner = Planner(listing_per_minute=95, refresh_ids_per_minute=0)
    run = Harness(World(), planner)
    planner.start(fast("a"), (), (), START)
    (post,) = run.world.add(1)
    times = []
    for tick in range(60):
        run.world.change(post, score=tick)
        before = len(run.published)
        run.round()
        if len(run.published) > before:
            times.append(run.world.now)
        run.world.now += 1
    assert len(times) >= 10
    assert min(after - before for before, after in pairwise(times)) >= 5


def test_every_checkpoint_is_published_although_nothing_changed() -> None:
    run = harness(refresh_ids_per_minute=210)
    run.world.add(1)
    run.run(300)
    run.world.posts = [
        run.world.posts[0]._replace(subreddit="elsewhere")
    ]  # in no listing any more, only /api/info shows it
    started, run.published = run.world.now, []
    ages = []
    while run.world.now < START + 37 * 3600:
        before = len(run.published)
        run.round()
        if len(run.published) > before:
            ages.append(run.world.now - START)
        run.world.now += 10
    assert started < START + CHECKPOINTS[0]
    for mark in CHECKPOINTS:
        assert any(mark <= age <= mark + 60 for age in ages), mark


def test_batches_are_full_and_the_cap_of_ids_holds() -> None:
    run = harness(refresh_ids_per_minute=210)
    for number in range(1000):
        run.world.add(1, age=6000 - number)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=210)
    planner.start(fast("a"), [known(post.id, post.created) for post in run.world.posts], (), START)
    run.planner = planner
    run.run(600)
    sizes = [len(fetch.ids) for fetch in run.fetches if isinstance(fetch, RefreshFetch)]
    assert set(sizes) == {100}
    assert sum(sizes) <= 210 * 10 + 100
    assert len(sizes) >= 20


def is_listing(fetch: Fetch) -> bool:
    return isinstance(fetch, ListingFetch)


def test_an_info_batch_that_failed_is_asked_again() -> None:
    run = harness(refresh_ids_per_minute=210)
    run.world.add(5)
    run.run(5)
    run.world.now += CHECKPOINTS[0]
    run.world.posts.clear()
    failed = [fetch for _ in range(5) if (fetch := run.round(works=is_listing)) and not is_listing(fetch)]
    for _ in range(60):
        run.world.now += 1
        run.round()
    asked = [fetch for fetch in run.fetches if isinstance(fetch, RefreshFetch) and ANY_ID not in fetch.ids]
    assert len(failed) == 1
    assert len(asked) > 1
    assert set(asked[1].ids) == set(failed[0].ids)
