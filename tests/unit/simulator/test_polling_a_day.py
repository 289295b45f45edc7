"""A poller with overlap checks misses nothing over a simulated day, bursts included (reference, sections C5 and F6)."""

from collections.abc import Iterator

import pytest

from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.listings import PageQuery, page_of
from signalflow.simulator.posts import Post
from signalflow.simulator.world import World

EPOCH = 1_777_939_200.0
# Seconds between two polls of a priority: twice the longest of section C5, with twice the posts. So single pages
# overflow, and only further pages close the gap.
INTERVALS = {"fast": 120, "medium": 360, "slow": 1_200}


def pages(world: World, names: list[str], now: float) -> Iterator[list[Post]]:
    after = None
    while True:
        page = page_of(world.newest(names, now), lambda post: post.id, PageQuery(limit=100, after=after))
        yield page.things
        after = page.after
        if after is None:
            return


@pytest.mark.slow
def test_overlapping_pages_miss_no_visible_post_of_a_day_with_bursts() -> None:
    world = World(Parameters(epoch=EPOCH, history=3_600.0, activity=2.0))
    subs = [sub for sub in world.subreddits.values() if sub.rate]
    names = {priority: [sub.name for sub in subs if sub.priority == priority] for priority in INTERVALS}
    seen = {post.id for post in world.new_posts_between(world.begin, EPOCH)}
    paged = 0
    for second in range(60, int(DAY) + 1, 60):
        for priority, interval in INTERVALS.items():
            if second % interval:
                continue
            for number, page in enumerate(pages(world, names[priority], EPOCH + second)):
                overlap = sum(post.id in seen for post in page)
                seen.update(post.id for post in page)
                paged += number > 0
                if overlap >= 3:
                    break
    longest = max(INTERVALS.values())
    expected = {
        post.id
        for post in world.new_posts_between(EPOCH, EPOCH + DAY - longest)
        if all(event.at > post.created + longest or event.kind.startswith("edited") for event in post.life)
    }
    assert len(world.bursts_between(EPOCH, EPOCH + DAY)) > 20
    assert len(expected) > 40_000
    assert paged > 0
    assert expected - seen == set()
