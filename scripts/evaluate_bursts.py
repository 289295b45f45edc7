"""Measure bursts and topic clusters on days of the simulator, whose truth is known: the figures of docs/decisions.

    python scripts/evaluate_bursts.py --days 7 --seed 1 [--titles FILE]

--titles takes the titles of the background from an NDJSON file of real posts, as the simulator's option --corpus. Links
are left out then: the simulator gives planted posts those of other posts. The first day is not judged. A week takes
three minutes.
"""

import argparse
from collections.abc import Iterator
from operator import attrgetter
from random import Random

from signalflow.evaluation.bursts import (
    BurstFigures,
    Crowd,
    ToldPost,
    ToldStory,
    Trial,
    Truth,
    burst_figures,
    cluster_figures,
)
from signalflow.simulator.arrivals import BURST_SECONDS
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.text import Texts
from signalflow.simulator.world import World

EPOCH = 1_700_006_400.0
# Seconds from the moment at which a listing shows a post to its observation, on average.
MEAN_DELAY = 8.0


def told_posts(world: World, texts: Texts, stories: dict[str, str], days: float) -> Iterator[ToldPost]:
    """The posts that a listing shows, in order of creation. `stories`: the kind of each story of several posts."""
    rng = Random(world.parameters.seed)
    step = 3_600.0
    for number in range(round(days * DAY / step)):
        begin = world.parameters.epoch + number * step
        for post in world.new_posts_between(begin, begin + step):
            if spans := post.visible_spans():
                text = texts.of(post)
                observed = spans[0][0] + rng.expovariate(1 / MEAN_DELAY)
                story = post.story if post.story in stories else None
                url = "" if world.parameters.corpus else text.url
                yield ToldPost(post.id, post.subreddit.key, post.created, observed, text.title, url, story)


def judged(days: float, seed: int = 1, titles: str = "") -> tuple[Trial, Truth]:
    """Take `days` days through the trial. The first day is not judged."""
    world = World(Parameters(seed=seed, epoch=EPOCH, history=0.0, corpus=titles))
    until = EPOCH + days * DAY
    stories = [
        ToldStory(story.id, story.kind, story.start)
        for story in world.stories_between(EPOCH, until)
        if story.kind != "viral"
    ]
    crowds = [Crowd(sub.key, at, at + BURST_SECONDS) for sub, at in world.bursts_between(EPOCH, until)]
    trial = Trial(EPOCH)
    kinds = {story.id: story.kind for story in stories}
    for post in sorted(told_posts(world, Texts(titles), kinds, days), key=attrgetter("observed")):
        trial.add(post)
    return trial, Truth(stories, crowds, EPOCH + DAY, until)


def lines(name: str, figures: BurstFigures) -> Iterator[str]:
    """The figures as text."""
    for kind, found in figures.found.items():
        delay = "" if found.delay is None else f", half of them within {found.delay:.0f} s"
        yield f"{name}: {found.found} of {found.stories} stories of kind {kind} ({found.rate:.1%}){delay}"
    yield (
        f"{name}: {figures.alarms_a_day:.1f} alarms a day, {figures.crowd_alarms_a_day:.1f} of them of crowds, "
        f"{figures.false_alarms_a_day:.2f} false; {figures.false_rate:.4%} of the quiet hours"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--titles", default="")
    given = parser.parse_args()
    trial, truth = judged(given.days, given.seed, given.titles)
    clusters = cluster_figures(trial)
    print(
        f"{clusters.posts} posts, {clusters.clusters} clusters: precision {clusters.precision:.3f}, recall "
        f"{clusters.recall:.3f}, F1 {clusters.f1:.3f}; {clusters.mixed} posts of no story in clusters of stories"
    )
    for name, subjects in (("terms", (str,)), ("clusters", (int,)), ("both", (str, int))):
        print("\n".join(lines(name, burst_figures(trial, truth, subjects))))


if __name__ == "__main__":
    main()
