"""Make signalflow/data/signals.json: what is usual in all subreddits, learnt from the simulator.

Usage: .venv/bin/python scripts/make_signal_priors.py
"""

import json
from pathlib import Path

from signalflow.domain.signals.priors import VERSION
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.world import World

TARGET = Path(__file__).parent.parent / "signalflow" / "data" / "signals.json"
# No evaluation uses this seed.
SEED = 1001
EPOCH = 1_767_571_200.0  # a Monday, 2026-01-05
DAYS = 7


def main() -> None:
    """Write the file."""
    world = World(Parameters(seed=SEED, epoch=EPOCH, history=0.0, burst_probability=0.0, stories_per_hour=0.0))
    hours = [0] * 24
    for post in world.new_posts_between(EPOCH, EPOCH + DAYS * DAY):
        hours[int(post.created % DAY // 3_600)] += 1
    mean = sum(hours) / 24
    document = {
        "version": VERSION,
        "origin": f"the simulator, seed {SEED}, {DAYS} days, without planted stories and bursts",
        "activity": [round(posts / mean, 3) for posts in hours],
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
