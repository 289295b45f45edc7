"""How well models tell posts apart, with how sure this is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from signalflow.evaluation.bootstrap import Estimate, resampled
from signalflow.evaluation.choosing import scored
from signalflow.evaluation.figures import Alarm, Bin, Scored, alarm_at, auc, brier, calibration, precision_at, roc
from signalflow.evaluation.posts import Post, Target
from signalflow.evaluation.validation import Part

# The false positive rate of Nikolov and Shah (2012).
FALSE_RATE = 0.04
PRECISIONS = (25, 50, 100)
BINS = 8


@dataclass(frozen=True, slots=True)
class PartFigures:
    """One part: since when its posts were seen (seconds since 1970), what was learnt from how many, and AUCs."""

    since: int
    posts: int
    reached: int
    learnt_from: int | None
    form: str
    auc: float
    auc_of_single: float


@dataclass(frozen=True, slots=True)
class OldRule:
    """The inherited rule: for how many posts it fires at any snapshot, and the AUC of its score at the first snapshot.

    `lead_hours`: how long before it the model's alarm comes, on average over the posts where both come, if there are.
    """

    fires: int
    auc: float
    lead_hours: float | None


@dataclass(frozen=True, slots=True)
class TargetFigures:
    """All figures of a target. AUCs are means over the parts; the others are of all parts' posts together.

    `auc_of_later` is without the posts that are there at first, and None if of a part no others are there.
    """

    name: str
    says: str
    posts: int
    reached: int
    reached_at_first: int
    parts: Sequence[PartFigures]
    auc: Estimate
    auc_of_later: float | None
    single: str
    auc_of_singles: dict[str, float]
    auc_of_single: Estimate
    gain: Estimate
    auc_of_plain: float | None
    alarm: Alarm
    true_rate: Estimate
    true_rate_of_single: float
    alarms_a_day: float
    lead_hours: float | None
    old_rule: OldRule
    precision: dict[int, float]
    brier: float
    calibration: Sequence[Bin]
    roc: Sequence[tuple[float, float]]
    roc_of_single: Sequence[tuple[float, float]]


# Single features to compare with. Each counts in the direction in which it is better on the tested posts themselves.
_SINGLES: dict[str, Callable[[Post, Part], float]] = {
    "score/age": lambda post, part: (post.first.score or 0) / post.first.age,
    "score": lambda post, part: post.first.score or 0,
    "age": lambda post, part: post.first.age,
    "comments/age": lambda post, part: (post.first.comments or 0) / post.first.age,
    "comments/score": lambda post, part: (post.first.comments or 0) / max(post.first.score or 0, 1),
    "ratio": lambda post, part: post.first.ratio or 0.0,
    "place in the listing": lambda post, part: -post.first_place,
    "typical peak of the subreddit": lambda post, part: part.peaks.log_peak(post.first.subreddit),
}


def judge(parts: Sequence[Part], target: Target) -> TargetFigures:
    """The figures of a target. Raises ValueError if a part has posts of one kind only."""
    told = [scored(part.model, part.posts, target) for part in parts]
    singles = {name: [_single(part, target, name) for part in parts] for name in _SINGLES}
    aucs = {name: _turned(_mean_auc(values)) for name, values in singles.items()}
    single = max(aucs, key=lambda name: aucs[name])
    sign = 1 if _mean_auc(singles[single]) >= 0.5 else -1
    others = [[(sign * value, hit) for value, hit in values] for values in singles[single]]
    together, others_together = _joined(told), _joined(others)
    posts = [post for part in parts for post in part.posts]
    later = [
        [pair for pair, post in zip(values, part.posts, strict=True) if not _is_there(post, target)]
        for values, part in zip(told, parts, strict=True)
    ]
    alarm = alarm_at(together, FALSE_RATE)
    alarmed = [
        post
        for post, (value, _) in zip(posts, together, strict=True)
        if alarm.threshold is not None and value >= alarm.threshold
    ]
    return TargetFigures(
        name=target.name,
        says=target.says,
        posts=len(posts),
        reached=sum(hit for _, hit in together),
        reached_at_first=sum(_is_there(post, target) for post in posts),
        parts=[
            PartFigures(
                part.posts[0].seen,
                len(mine),
                sum(h for _, h in mine),
                part.learnt_from,
                part.form,
                auc(mine),
                auc(other),
            )
            for part, mine, other in zip(parts, told, others, strict=True)
        ],
        auc=resampled(_mean_auc, told),
        auc_of_later=_known_auc(later),
        single=single,
        auc_of_singles=aucs,
        auc_of_single=resampled(_mean_auc, others),
        gain=_gain(told, others),
        auc_of_plain=_plain(parts, target),
        alarm=alarm,
        true_rate=resampled(lambda values: alarm_at(_joined(values), FALSE_RATE).true_rate, told),
        true_rate_of_single=alarm_at(others_together, FALSE_RATE).true_rate,
        alarms_a_day=len(alarmed) / _days(parts),
        lead_hours=_mean_hours([(post.seen, post.reached.get(target.name)) for post in alarmed]),
        old_rule=OldRule(
            sum(post.old_rule_at is not None for post in posts),
            auc([(post.old_rule_score, target.name in post.reached) for post in posts]),
            _mean_hours([(post.seen, post.old_rule_at) for post in alarmed]),
        ),
        precision={count: precision_at(together, count) for count in PRECISIONS if count <= len(together)},
        brier=brier(together),
        calibration=calibration(together, BINS),
        roc=roc(together),
        roc_of_single=roc(others_together),
    )


def _gain(ones: Sequence[Scored], others: Sequence[Scored]) -> Estimate:
    """How much larger the mean AUC of the ones is. Each draw has the same posts for both."""
    pairs = [list(zip(one, other, strict=True)) for one, other in zip(ones, others, strict=True)]
    return resampled(
        lambda drawn: (
            _mean_auc([[one for one, _ in part] for part in drawn])
            - _mean_auc([[other for _, other in part] for part in drawn])
        ),
        pairs,
    )


def _single(part: Part, target: Target, name: str) -> list[tuple[float, bool]]:
    return [(_SINGLES[name](post, part), target.name in post.reached) for post in part.posts]


def _plain(parts: Sequence[Part], target: Target) -> float | None:
    told = [scored(part.plain, part.posts, target) for part in parts if part.plain is not None]
    return _mean_auc(told) if told else None


def _mean_auc(parts: Sequence[Scored]) -> float:
    return mean(auc(part) for part in parts)


def _known_auc(parts: Sequence[Scored]) -> float | None:
    """None if the posts of a part are of one kind."""
    try:
        return _mean_auc(parts)
    except ValueError:
        return None


def _turned(value: float) -> float:
    """The AUC in the direction in which it is better."""
    return max(value, 1 - value)


def _joined(parts: Sequence[Scored]) -> list[tuple[float, bool]]:
    return [pair for part in parts for pair in part]


def _is_there(post: Post, target: Target) -> bool:
    return post.reached.get(target.name) == post.seen


def _days(parts: Sequence[Part]) -> float:
    """The time in which the posts were first seen, in days; the last snapshot of a part stands for an hour."""
    return sum(part.posts[-1].seen - part.posts[0].seen + 3600 for part in parts) / 86_400


def _mean_hours(times: Sequence[tuple[int, int | None]]) -> float | None:
    """The mean time from the first to the second, where there is a second."""
    hours = [(later - first) / 3600 for first, later in times if later is not None]
    return mean(hours) if hours else None
