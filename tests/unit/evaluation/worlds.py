"""Made snapshots in which what becomes of a post follows from its velocity, its subreddit and chance."""

from random import Random

from signalflow.evaluation.snapshots import Snapshot

START = 1_703_980_800
HOUR = 3600


def snapshot(
    post: str, hour: float, *, age: float = 2.0, place: int = 50, score: int = 1000, **more: object
) -> Snapshot:
    """One snapshot `hour` hours after START, of a post of this age in hours."""
    observed = START + round(hour * HOUR)
    created = observed - round(age * HOUR)
    values = {"subreddit": "pics", "comments": 100, "ratio": 0.95} | more
    return Snapshot(post, created=created, observed=observed, place=place, score=score, **values)  # type: ignore[arg-type]


def world(hours: int = 60, posts_an_hour: int = 8, seed: int = 1) -> list[Snapshot]:
    """Posts are seen three times, at first anywhere. Fast ones, and those of r/big, rise to ten and 20,000 points."""
    random = Random(seed)
    seen = []
    for hour in range(hours):
        for number in range(posts_an_hour):
            post, subreddit = f"{hour}-{number}", random.choice(("big", "small"))
            velocity = random.lognormvariate(-1.5, 0.5)
            rise = 1.5 * (velocity / 0.22) * (2.0 if subreddit == "big" else 0.7) * random.lognormvariate(0, 0.3)
            created = START + hour * HOUR - random.randrange(2 * HOUR, 3 * HOUR)
            for later in range(3):
                observed = START + (hour + later) * HOUR
                first = max(1, round(velocity * (START + hour * HOUR - created)))
                place = max(1, round(30 / rise)) if later else random.randrange(30, 100)
                score = round(first * (1 if not later else 3 * rise * later))
                seen.append(Snapshot(post, subreddit, created, observed, min(place, 100), score, 100, 0.95))
    return sorted(seen, key=lambda one: (one.observed, one.place))
