"""Make signalflow/data/signals.json: what is usual in all subreddits, learnt from the simulator.

    python scripts/make_signal_priors.py OUTPUT.json [--days DAYS]

The activity and the curve are those of posts that are no part of a planted story: a story must not look usual. The
forecasts are learnt from all posts. The same days give the same bytes.
"""

import argparse
import json
from collections.abc import Sequence
from math import exp, hypot
from pathlib import Path
from random import Random

from signalflow.domain.signals.curve import FINAL, log_score, top_error
from signalflow.domain.signals.forecast import YOUNGEST_VELOCITY, growth_of
from signalflow.domain.signals.priors import VERSION, Curve
from signalflow.domain.signals.tails import normal_tail
from signalflow.evaluation.simulated import observations
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.world import World

# No evaluation uses this seed.
SEED = 1_001
EPOCH = 1_767_571_200.0  # a Monday, 2026-01-05
AGES = (30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 57_600.0, 86_400.0)
NORMALS = (0.0, 0.6745, 1.2816, 1.8, 2.3263, 2.8, 3.2)
# A step of one normal score is at least so much in log(score + 1): below, scores are the same whole numbers.
LEAST_SLOPE = 0.25
# Forecasts are learnt from posts of at least this normal score. The others do not become the best.
LEAST_NORMAL = 0.8
# One post in a hundred reaches the target.
TARGET_SHARE = 0.01
# The log odds are those of a subreddit of which so many posts were seen.
KNOWN_POSTS = 1_000


def curve_of(posts: Sequence[Post]) -> Curve:
    """Quantiles of log(score + 1) at each age."""
    rows = []
    for age in AGES:
        values = sorted(log_score(state_of(post, post.created + age, 1.0).score) for post in posts)
        row = [values[int((1.0 - normal_tail(normal)) * len(values))] for normal in NORMALS]
        for place in range(1, len(row)):
            row[place] = max(row[place], row[place - 1] + LEAST_SLOPE * (NORMALS[place] - NORMALS[place - 1]))
        rows.append(tuple(round(value, 3) for value in row))
    return Curve(AGES, NORMALS, tuple(rows))


def least_squares(rows: Sequence[Sequence[float]], ys: Sequence[float]) -> tuple[list[float], float]:
    """The weights of the columns, and the standard deviation of what is left."""
    width = len(rows[0])
    matrix = [[sum(r[i] * r[j] for r in rows) + (1e-3 if i == j else 0.0) for j in range(width)] for i in range(width)]
    right = [sum(r[i] * y for r, y in zip(rows, ys, strict=True)) for i in range(width)]
    for i in range(width):
        for j in range(i + 1, width):
            factor = matrix[j][i] / matrix[i][i]
            matrix[j] = [a - factor * b for a, b in zip(matrix[j], matrix[i], strict=True)]
            right[j] -= factor * right[i]
    weights = [0.0] * width
    for i in reversed(range(width)):
        weights[i] = (right[i] - sum(matrix[i][j] * weights[j] for j in range(i + 1, width))) / matrix[i][i]
    errors = [y - sum(w * x for w, x in zip(weights, row, strict=True)) for row, y in zip(rows, ys, strict=True)]
    return weights, (sum(error * error for error in errors) / len(errors)) ** 0.5


def logistic(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Base and slope of the log odds of y, by Newton's method."""
    base, slope = 0.0, 1.7
    for _ in range(30):
        g0 = g1 = h00 = h01 = h11 = 0.0
        for x, y in zip(xs, ys, strict=True):
            p = 1.0 / (1.0 + exp(-max(min(base + slope * x, 30.0), -30.0)))
            weight = p * (1.0 - p)
            g0, g1 = g0 + y - p, g1 + (y - p) * x
            h00, h01, h11 = h00 + weight, h01 + weight * x, h11 + weight * x * x
        determinant = h00 * h11 - h01 * h01
        base += (h11 * g0 - h01 * g1) / determinant
        slope += (h00 * g1 - h01 * g0) / determinant
    return base, slope


def learnt(posts: Sequence[Post], curve: Curve) -> dict[str, object]:
    """The forecasts, from the first observation of each post in each span of ages."""
    finals = {post.id: curve.normal_of(log_score(post.score_at(post.created + FINAL)), FINAL) for post in posts}
    target = sorted(finals.values())[int((1.0 - TARGET_SHARE) * len(finals))]
    aided: list[list[tuple[float, float, float]]] = [[] for _ in AGES]
    unaided: list[list[tuple[float, float, float]]] = [[] for _ in AGES]
    # A post that never has more than a few points has no normal score worth a forecast.
    high = [post for post in posts if post.rise >= 2.0]
    seen_in: set[tuple[str, int]] = set()
    for seen in observations(high, EPOCH * 2, 1.0):
        age = (seen.observed_us - seen.created_us) / 1e6
        place = min(range(len(AGES)), key=lambda number: abs(AGES[number] / age - age / AGES[number]))
        if age > FINAL or seen.score is None or (seen.post_id, place) in seen_in:
            continue
        normal = curve.normal_of(log_score(seen.score), age)
        if normal < LEAST_NORMAL:
            continue
        seen_in.add((seen.post_id, place))
        final = min(finals[seen.post_id], 4.5)
        unaided[place].append((normal, 0.0, final))
        if seen.score_velocity is not None and age >= YOUNGEST_VELOCITY:
            aided[place].append((normal, growth_of(seen.score, seen.score_velocity, age), final))
    weights: list[list[float] | None] = []
    plain: list[list[float] | None] = []
    rng = Random(SEED)
    error = top_error(KNOWN_POSTS)
    xs: list[float] = []
    ys: list[float] = []
    for rows in aided:
        if len(rows) < 100:
            weights.append(None)
            continue
        found, deviation = least_squares([(1.0, n, g) for n, g, _ in rows], [f for *_, f in rows])
        deviation = max(deviation, 0.05)
        weights.append([round(value, 4) for value in (*found, deviation)])
        # A subreddit knows its target with an error, so the log odds are learnt with one.
        for normal, growth, final in rows:
            expected = found[0] + found[1] * normal + found[2] * growth
            xs.append((expected - target - rng.gauss(0.0, error)) / hypot(deviation, error))
            ys.append(float(final >= target))
    for rows in unaided:
        if len(rows) < 100:
            plain.append(None)
            continue
        found, deviation = least_squares([(1.0, n) for n, _, _ in rows], [f for *_, f in rows])
        plain.append([round(value, 4) for value in (*found, max(deviation, 0.05))])
    first, first_plain = (next(row for row in found if row) for found in (weights, plain))
    base, slope = logistic(xs, ys)
    return {
        "ages": AGES,
        "weights": [row or first for row in weights],
        "unaided": [row or first_plain for row in plain],
        "base": round(base, 4),
        "slope": round(slope, 4),
        "target": round(target, 4),
    }


def document(days: float) -> dict[str, object]:
    """What is shipped."""
    world = World(Parameters(seed=SEED, epoch=EPOCH, history=0.0, burst_probability=0.0))
    posts = world.new_posts_between(EPOCH, EPOCH + days * DAY)
    usual = [post for post in posts if post.story is None]
    hours = [0] * 24
    for post in usual:
        hours[int(post.created % DAY // 3_600)] += 1
    curve = curve_of(usual)
    return {
        "version": VERSION,
        "origin": f"the simulator, seed {SEED}, {days:g} days",
        "activity": [round(24 * count / len(usual), 3) for count in hours],
        "curve": {"ages": curve.ages, "normals": curve.normals, "log_scores": curve.log_scores},
        "forecasts": learnt(posts, curve),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--days", type=float, default=2.0)
    arguments = parser.parse_args()
    arguments.output.write_text(json.dumps(document(arguments.days), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
