"""How good the signals of a simulated run were: figures from what was said and what was true."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from signalflow.evaluation.simulation import DAY_QUARTERS, QUARTER, Burst, JudgedPost, JudgedSubreddit

# An alarm within so many seconds after a burst is about it: its posts are still in the window.
AFTERWARDS = 900.0
# Figures a day are told for so many subreddits.
SUBREDDITS = 115
FALSE_RATES = (0.04, 0.01, 0.002)
EDGES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Found:
    """How many of some posts or bursts got a signal. Leads: hours from the signal to the target; None without any."""

    of: str
    count: int
    found: int
    mean_lead: float | None = None
    median_lead: float | None = None


@dataclass(frozen=True, slots=True)
class PostAlarms:
    """Signals of a kind about posts, a day and for SUBREDDITS subreddits.

    `false`: about posts that are neither planted nor among the best hundredth in the end. `planted_not_top`: about
    planted posts that are not among the best hundredth, because their subreddit had many of them.
    """

    kind: str
    a_day: float
    false: float
    planted_not_top: float
    found: Sequence[Found]


@dataclass(frozen=True, slots=True)
class Operating:
    """The share of the best posts above the probability that `false_rate` of the others exceed, at half an hour.

    `mean_lead`: hours from then until they reach the target; negative for one that is there already.
    """

    false_rate: float
    probability: float
    true_rate: float
    mean_lead: float


@dataclass(frozen=True, slots=True)
class SaidBin:
    """Posts whose probability at half an hour was in [lowest, next edge): its mean, and how many became the best."""

    lowest: float
    posts: int
    said: float
    came: float


@dataclass(frozen=True, slots=True)
class BurstFigures:
    """`false_a_day`: alarms outside of any burst, for SUBREDDITS subreddits.

    `true_rate`: the share of bursts with a quarter of an hour above the strength that 4 % of usual quarters exceed.
    """

    false_a_day: float
    true_rate: float
    strength: float
    found: Sequence[Found]


@dataclass(frozen=True, slots=True)
class SimulatedFigures:
    """All figures. `covered`: the share of final scores of at least 50 points within the 80 % interval."""

    posts: int
    observations: int
    changes_a_day: float
    alarms: Sequence[PostAlarms]
    operating: Sequence[Operating]
    calibration: Sequence[SaidBin]
    covered: float
    bursts: BurstFigures


def figures(subreddits: Sequence[JudgedSubreddit], days: int) -> SimulatedFigures:
    """The figures of a run of so many judged days."""
    posts = [post for sub in subreddits for post in sub.posts]
    scale = SUBREDDITS / len(subreddits) / days
    # Posts of the last half day are not judged: what becomes of them is not seen.
    of_posts = SUBREDDITS / len(subreddits) / (days - 0.5)
    high = [post for post in posts if post.said and post.final >= 50]
    return SimulatedFigures(
        posts=len(posts),
        observations=sum(sub.observations for sub in subreddits),
        changes_a_day=scale * sum(sub.changes for sub in subreddits),
        alarms=[_alarms(posts, kind, of_posts) for kind in ("viral", "unusual_here")],
        operating=_operating(posts),
        calibration=_calibration(posts),
        covered=mean(post.said[2] <= post.final <= post.said[3] for post in high if post.said) if high else 0.0,
        bursts=_bursts(subreddits, days, scale),
    )


def _alarms(posts: Sequence[JudgedPost], kind: str, scale: float) -> PostAlarms:
    told = [post for post in posts if kind in post.told]
    groups = [
        ("all of the best hundredth", [post for post in posts if post.is_top]),
        ("usual ones of these", [post for post in posts if post.is_top and post.story is None]),
        ("planted, 50,000 points", [post for post in posts if post.story == "viral"]),
        ("planted, 6,000 points", [post for post in posts if post.story == "everywhere"]),
    ]
    return PostAlarms(
        kind,
        scale * len(told),
        scale * sum(not post.is_top and post.story is None for post in told),
        scale * sum(not post.is_top and post.story is not None for post in told),
        [_found(name, group, kind) for name, group in groups],
    )


def _found(name: str, posts: Sequence[JudgedPost], kind: str) -> Found:
    hit = [post for post in posts if kind in post.told]
    leads = [(post.reached - post.told[kind]) / 3_600.0 for post in hit if post.is_top]
    return Found(name, len(posts), len(hit), mean(leads) if leads else None, median(leads) if leads else None)


def _operating(posts: Sequence[JudgedPost]) -> list[Operating]:
    said = [(post, post.said[0]) for post in posts if post.said]
    others = sorted(probability for post, probability in said if not post.is_top)
    best = [(post, probability) for post, probability in said if post.is_top]
    found = []
    for rate in FALSE_RATES:
        limit = others[int((1.0 - rate) * len(others))]
        above = [post for post, probability in best if probability > limit]
        leads = [(post.reached - post.said_at) / 3_600.0 for post in above]
        found.append(Operating(rate, limit, len(above) / max(len(best), 1), mean(leads) if leads else 0.0))
    return found


def _calibration(posts: Sequence[JudgedPost]) -> list[SaidBin]:
    found = []
    for low, high in zip(EDGES, (*EDGES[1:], 1.1), strict=True):
        inside = [(post.said[0], post.is_top) for post in posts if post.said and low <= post.said[0] < high]
        if inside:
            found.append(SaidBin(low, len(inside), mean(said for said, _ in inside), mean(top for _, top in inside)))
    return found


def _bursts(subreddits: Sequence[JudgedSubreddit], days: int, scale: float) -> BurstFigures:
    groups: dict[str, list[bool]] = {}
    false = 0
    usual: list[float] = []
    highest: list[float] = []
    for sub in subreddits:
        false += sum(not any(_is_about(at, burst) for burst in sub.bursts) for at in sub.alarms)
        touched = {quarter for burst in sub.bursts for quarter in _quarters(burst)}
        outside = [strength for quarter, strength in sub.strengths.items() if quarter not in touched]
        # A quarter without a new post has no strength.
        usual += outside + [0.0] * max(days * DAY_QUARTERS - len(touched) - len(outside), 0)
        for burst in sub.bursts:
            name = "planted story" if burst.kind == "story" else f"arrivals x8, {burst.priority}"
            groups.setdefault(name, []).append(any(_is_about(at, burst) for at in sub.alarms))
            highest.append(max((sub.strengths.get(quarter, 0.0) for quarter in _quarters(burst)), default=0.0))
    limit = sorted(usual)[int((1.0 - FALSE_RATES[0]) * len(usual))]
    return BurstFigures(
        scale * false,
        mean(strength > limit for strength in highest) if highest else 0.0,
        limit,
        [Found(name, len(hits), sum(hits)) for name, hits in sorted(groups.items())],
    )


def _is_about(at: float, burst: Burst) -> bool:
    return burst.start <= at <= burst.end + AFTERWARDS


def _quarters(burst: Burst) -> range:
    return range(int(burst.start // QUARTER), int((burst.end + AFTERWARDS) // QUARTER) + 1)


def lines(result: SimulatedFigures) -> list[str]:
    """The figures for people."""
    text = [
        f"{result.posts} posts judged, {result.observations} observations. Figures a day are for {SUBREDDITS} "
        f"subreddits; {result.changes_a_day:.0f} records of signals a day.",
    ]
    for alarm in result.alarms:
        text += [
            "",
            f"{alarm.kind} of posts: {alarm.a_day:.1f} a day; {alarm.false:.1f} false (not planted, nor in the best "
            f"hundredth in the end), {alarm.planted_not_top:.1f} planted and not among the best hundredth",
            *(f"  {one.of:<28} {_share(one)}{_lead(one)}" for one in alarm.found),
        ]
    text += ["", "viral, by the probability at half an hour:"]
    text += [
        f"  FPR {one.false_rate:6.1%} (above {one.probability:.4f}): TPR {one.true_rate:6.1%}, mean lead over the "
        f"target {one.mean_lead:.2f} h"
        for one in result.operating
    ]
    text += ["  probability from   posts    said    came"]
    text += [f"  {one.lowest:16.3f} {one.posts:7} {one.said:7.4f} {one.came:7.4f}" for one in result.calibration]
    text += [
        f"  the 80 % interval holds {result.covered:.1%} of the final scores of at least 50",
        "",
        f"unusual_here of subreddits: {result.bursts.false_a_day:.1f} false alarms a day",
        *(f"  {one.of:<28} {_share(one)}" for one in result.bursts.found),
        f"  FPR 4.0% of usual quarters of an hour (above {result.bursts.strength:.2f}): TPR "
        f"{result.bursts.true_rate:.1%} of bursts",
    ]
    return text


def _share(one: Found) -> str:
    return f"{one.found:>5} of {one.count:<5} {one.found / max(one.count, 1):6.1%}"


def _lead(one: Found) -> str:
    if one.mean_lead is None or one.median_lead is None:
        return ""
    return f"  lead: mean {one.mean_lead:.2f} h, median {one.median_lead:.2f} h"
