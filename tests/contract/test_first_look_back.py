"""The beginning of a new installation in virtual time: its last day is there within minutes, and news is not later."""

import asyncio
from bisect import bisect_left
from functools import cache
from statistics import median

import pytest
from pydantic import SecretStr

from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher
from signalflow.events import encode
from signalflow.settings import Settings
from signalflow.signal_detection import Baseline, Detector, input_of
from signalflow.simulator.config import DAY
from signalflow.simulator.subreddits import base36
from tests.contract.coverage_scene import HOUR, MINUTE, Scene
from tests.contract.feeds_day import FeedsRun, virtually
from tests.contract.virtual_time import EPOCH, VirtualLoop, patched_clocks
from tests.unit.streams.fakes import Record

pytestmark = pytest.mark.slow

LENGTH = 25 * MINUTE
# Posts of the last minute may be found later.
MARGIN = 60.0


@cache
def beginning(first_look_hours: float) -> Scene:
    """The first minutes of an installation that knows nothing. The tests only read it."""

    async def run() -> Scene:
        scene = Scene(history=26 * HOUR, first_look_hours=first_look_hours, opening=True)
        scene.start()
        await asyncio.sleep(LENGTH)
        await scene.stop()
        return scene

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        return runner.run(run())


def found_at(scene: Scene) -> dict[str, float]:
    """When each post was observed first."""
    envelopes = reversed(scene.ledger.published)
    return {envelope.payload.id: envelope.metadata.observed_at.timestamp() for envelope in envelopes}


def delays(scene: Scene) -> list[float]:
    found = found_at(scene)
    news = scene.simulator.world.new_posts_between(EPOCH + MARGIN, EPOCH + LENGTH - MARGIN)
    watched = [post for post in news if post.subreddit.key in scene.ledger.polled]
    return [found[base36(post.number)] - post.created for post in watched]


def test_the_last_day_is_there_within_minutes_and_news_is_found_as_quickly_and_within_the_budget() -> None:
    without, looked = beginning(0), beginning(24)
    scene, ledger = looked, looked.ledger
    found = found_at(scene)
    day = [
        post
        for post in scene.simulator.world.new_posts_between(EPOCH - 24 * HOUR + MARGIN, EPOCH)
        if post.subreddit.key in ledger.polled
    ]
    missing = [post for post in day if base36(post.number) not in found]
    before = found_at(without)
    requests = sorted(entry.sim for entry in scene.simulator.entries if entry.path.startswith(("/r/", "/api/info")))
    most = max(bisect_left(requests, at + 60) - place for place, at in enumerate(requests))
    outcomes = list(ledger.first_looks.outcomes.values())
    print(
        f"\n{len(day)} posts of the last day, {len(missing)} not found (without a first look "
        f"{sum(base36(post.number) not in before for post in day)}); {len(outcomes)} first looks, "
        f"{outcomes.count('given_up')} given up; at most {most} requests a minute; "
        f"news after {median(delays(without)):.2f} -> {median(delays(looked)):.2f} s"
    )
    given_up = {
        ledger.first_looks.opened[record - 1].subreddits[0]
        for record, outcome in ledger.first_looks.outcomes.items()
        if outcome == "given_up"
    }
    assert len(day) > 15_000
    assert {post.subreddit.key for post in missing} <= given_up, "only beyond the last 1,000 posts of a subreddit"
    assert len(missing) < len(day) / 20
    assert len(outcomes) == len(ledger.polled)
    assert most <= 60
    assert abs(median(delays(looked)) - median(delays(without))) < 0.2
    assert median(delays(looked)) <= 3.6


def signals_of(scene: Scene) -> dict[tuple[str, str, str], float]:
    """When the pipeline would begin signals about what was published, by kind and subject: seconds after the start."""
    enricher, detector = Enricher(Settings()), Detector()
    posts: dict[bytes, PostState | None] = {}
    known: dict[bytes, Baseline | None] = {}
    begun: dict[tuple[str, str, str], float] = {}
    for offset, envelope in enumerate(scene.ledger.published):
        at = int(envelope.metadata.observed_at.timestamp() * 1000) + 1
        raw = Record(offset, "raw", key=envelope.key, value=encode(envelope), timestamp=at)
        found = enricher.enrich_record(raw, posts.get)
        posts[found.key] = found.state or posts.get(found.key)
        given = input_of(found.enriched, found.is_discovery, at * 1000)
        inputs = Record(offset, "inputs", key=given.key, value=encode(given), timestamp=at)
        detection = detector.detect(inputs, known.get)
        known[given.key] = detection.baseline or known.get(given.key)
        for signal in detection.signals:
            key = (signal.kind, signal.subject_kind, signal.subject)
            begun.setdefault(key, signal.started_at.timestamp() - EPOCH)
    return begun


def test_signals_begin_within_two_minutes_and_are_about_what_is_young_and_no_flood() -> None:
    scene = beginning(24)
    begun = signals_of(scene)
    first: dict[tuple[str, str], float] = {}
    for (kind, of, _), at in begun.items():
        first[kind, of] = min(at, first.get((kind, of), at))
    print(f"\n{len(begun)} signals in {LENGTH / MINUTE:.0f} minutes, the first of each kind: {first}")
    assert set(first) == {("viral", "post"), ("unusual_here", "post"), ("unusual_here", "subreddit")}
    assert max(first.values()) <= 2 * MINUTE
    created = {
        base36(post.number): post.created for post in scene.simulator.world.new_posts_between(EPOCH - DAY, EPOCH + DAY)
    }
    told = {subject for _, of, subject in begun if of == "post"}
    assert min(created[post] for post in told) > EPOCH - 2.2 * HOUR
    assert len(told) < 60
    busy = {subject for _, of, subject in begun if of == "subreddit"}
    assert busy <= bursts_of(scene), "no other one is unusual"


def bursts_of(scene: Scene) -> set[str]:
    """Subreddits that truly have more posts than usual at the beginning."""
    world = scene.simulator.world
    arrivals = {sub.key for sub, _ in world.bursts_between(EPOCH - HOUR, EPOCH + LENGTH)}
    stories = world.stories_between(EPOCH - HOUR, EPOCH + LENGTH)
    return arrivals | {post.subreddit.key for story in stories if story.kind == "burst" for post in story.posts}


def test_what_was_read_back_is_no_news_and_every_subreddit_is_known_to_be_readable() -> None:
    scene = beginning(24)
    envelopes = scene.ledger.published
    backfilled = [envelope.payload for envelope in envelopes if envelope.mode == "backfill"]
    assert len(backfilled) > 10_000
    assert max(post.created_utc.timestamp() for post in backfilled) <= EPOCH + MARGIN
    news = {post.payload.id for post in envelopes if post.payload.created_utc.timestamp() > EPOCH + MARGIN}
    assert news <= set(scene.ledger.ids("new"))
    assert {name for name, state in scene.ledger.states.items() if state == "ok"} == set(scene.ledger.polled)


@pytest.mark.parametrize(("secret", "share"), [("", 0.0), ("feed=simulatorsfeed&user=simulator", 1.0)])
def test_feeds_read_back_what_their_requests_spare_which_is_nothing_at_one_a_minute(secret: str, share: float) -> None:
    settings = Settings(reddit_source="feeds", reddit_contact="you@example.org", reddit_feed=SecretStr(secret))
    run: list[FeedsRun] = []

    async def some_time(feeds: FeedsRun) -> None:
        run.append(feeds)
        await asyncio.sleep(1.5 * HOUR)

    day = virtually(settings, some_time)
    (feeds,) = run
    looks = feeds.world.first_looks
    print(f"\n{len(looks.opened)} first looks, {len(looks.outcomes)} done, {len(day.starts)} requests")
    assert day.missed == []
    assert len(looks.outcomes) == share * len(looks.opened)
    found = {envelope.payload.id for envelope in feeds.world.published}
    # The simulator begins two hours before the poller.
    before = [base36(post.number) for post in feeds.simulator.world.new_posts_between(EPOCH - 2 * HOUR, EPOCH)]
    assert bool(share) is found.issuperset(before)
