"""The first look back of 115 new subreddits in virtual time: all of their last day, and no post found later for it."""

import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from signalflow.domain.budget import Budget, RateLimit
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.reddit_day import DAY, Model, answer, make_model

pytestmark = pytest.mark.slow

HOUR = 3600.0
# How long a new installation is watched.
LENGTH = HOUR


@dataclass
class Beginning:
    """What the first hour of an installation gave. Times in seconds since its start."""

    requests: Counter[str] = field(default_factory=Counter)
    starts: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    found: dict[str, float] = field(default_factory=dict)
    outcomes: Counter[str | None] = field(default_factory=Counter)
    given_up: set[str] = field(default_factory=set)
    looked_until: float = 0.0


def begin(model: Model, *, first_look_hours: float) -> Beginning:
    """Poll with an empty database from the second day on."""
    rng = random.Random(1)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=210, first_look_seconds=first_look_hours * HOUR)
    budget = Budget(60)
    now = DAY
    planner.start([Subreddit(s.name, s.interval_seconds, s.priority) for s in model.subreddits], (), (), now)
    report = Beginning()
    while now < DAY + LENGTH:
        wait = budget.wait(now)
        fetch = planner.next(now, budget.spacing(now)) if wait == 0 else None
        if fetch is None:
            now += wait or min(planner.wake(now), 1.0)
            continue
        budget.start(now)
        report.starts.append(now)
        report.requests[fetch.kind] += 1
        now += rng.uniform(0.08, 0.2)
        budget.succeeded(now, RateLimit(used=3, remaining=990, reset=400))
        items, after = answer(model, fetch, now)
        findings = planner.judge(fetch, items, after, now)
        for decision in findings.decisions:
            item = findings.items[decision.item]
            if decision.is_new:
                assert item.id not in report.found, "found once"
                report.found[item.id] = now - DAY
                if item.created > DAY:
                    report.delays.append(now - item.created)
        planner.confirm(findings, [True] * len(findings.decisions), now)
        for gaps in (planner.gaps, planner.first_looks.gaps):
            while change := gaps.change:
                if gaps is planner.first_looks.gaps and change.kind == "close":
                    report.outcomes[change.outcome] += 1
                    report.looked_until = now - DAY
                    if change.outcome == "given_up":
                        report.given_up.update(change.gap.subreddits)
                gaps.recorded(1)
    return report


def test_a_new_installation_has_its_last_day_within_the_first_minutes_and_discovery_is_not_slower() -> None:
    model = make_model(seed=11)
    without, looked = begin(model, first_look_hours=0), begin(model, first_look_hours=24)
    minutes = looked.looked_until / 60
    print(
        f"\n{looked.requests}, first looks {looked.outcomes}, the last one ended after {minutes:.1f} minutes; "
        f"discovery median {median(without.delays):.2f} -> {median(looked.delays):.2f} s, "
        f"p99 {sorted(without.delays)[len(without.delays) * 99 // 100]:.1f} -> "
        f"{sorted(looked.delays)[len(looked.delays) * 99 // 100]:.1f} s"
    )
    day = [
        post
        for post in model.posts
        if DAY - 24 * HOUR < post.created < DAY
        and post.is_listed(DAY + LENGTH)
        and post.is_listed(DAY)
        and post.gone > DAY + LENGTH
    ]
    missing = [post for post in day if post.id not in looked.found]
    assert len(day) > 15_000
    assert {post.subreddit for post in missing} <= looked.given_up, "only beyond the last 1,000 posts of a subreddit"
    assert len(missing) < len(day) / 20
    assert len([post for post in day if post.id not in without.found]) > len(day) / 2
    assert sum(looked.outcomes.values()) == len(model.subreddits)
    assert minutes < 20
    assert max(sum(at <= start < at + 60 for start in looked.starts) for at in looked.starts) <= 60
    assert min(b - a for a, b in zip(looked.starts, looked.starts[1:], strict=False)) >= 1.0 - 1e-6
    assert len(without.delays) == len(looked.delays) > 400
    assert median(looked.delays) <= median(without.delays) + 0.05
    assert median(looked.delays) <= 3.5


def test_equal_worlds_are_polled_alike_in_every_process() -> None:
    """Sets of names have another order in each process."""
    code = (
        "from tests.unit.domain.test_first_look_day import begin, make_model\n"
        "found = begin(make_model(seed=11), first_look_hours=24)\n"
        "print(found.requests.total(), sum(found.delays), found.looked_until)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
