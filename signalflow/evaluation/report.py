"""The result of an evaluation, as a document and as text."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from signalflow.evaluation.bootstrap import RESAMPLES, Estimate
from signalflow.evaluation.choosing import FORMS
from signalflow.evaluation.judging import FALSE_RATE, TargetFigures
from signalflow.evaluation.posts import Post
from signalflow.evaluation.validation import Selection

# By so much the mean AUC shall be above that of the best single feature.
GOAL = 0.02


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was evaluated, how, and the figures of each target."""

    file: str
    method: str
    snapshots: int
    posts: int
    since: int
    until: int
    selection: Selection
    targets: Sequence[TargetFigures]


def evaluation(
    file: str,
    method: str,
    snapshots: int,
    posts: Sequence[Post],
    selection: Selection,
    targets: Sequence[TargetFigures],
) -> Evaluation:
    """Put together what was found in the posts of a file."""
    until = max(post.last for post in posts)
    return Evaluation(file, method, snapshots, len(posts), posts[0].seen, until, selection, targets)


def document(result: Evaluation) -> dict[str, Any]:
    """For JSON. Times are seconds since 1970; estimates have the limits of their 95 % interval."""
    return {
        "file": result.file,
        "method": result.method,
        "snapshots": result.snapshots,
        "posts": result.posts,
        "since": result.since,
        "until": result.until,
        "tested": len(result.selection.tested),
        "left_out": result.selection.left_out,
        "forms_to_choose_from": [form.name for form in FORMS],
        "goal": GOAL,
        "targets": {figures.name: asdict(figures) for figures in result.targets},
    }


def time_of(seconds: int) -> str:
    """A time for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """A figure with its limits."""
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def rows_of(figures: TargetFigures) -> list[tuple[str, str]]:
    """The figures of a target with their names, for people."""
    old = figures.old_rule
    reached_goal = "reached" if figures.gain.value >= GOAL else "missed"
    rows = [
        ("AUC of the model", interval(figures.auc)),
        (f"AUC of the best single feature, {figures.single}", interval(figures.auc_of_single)),
        (f"gain over it; the goal of {GOAL:.3f} is {reached_goal}", interval(figures.gain)),
    ]
    if figures.auc_of_plain is not None:
        rows.append(("AUC of a plain logistic regression on all inputs", f"{figures.auc_of_plain:.3f}"))
    if figures.auc_of_later is not None and figures.reached_at_first:
        rows.append(
            (f"AUC without the {figures.reached_at_first} that are there at first", f"{figures.auc_of_later:.3f}")
        )
    rows += [
        ("AUC of the old rule's score at the first snapshot", f"{old.auc:.3f}"),
        (f"TPR at a FPR of {FALSE_RATE:.0%}", interval(figures.true_rate)),
        (f"the same of {figures.single}", f"{figures.true_rate_of_single:.3f}"),
        *((f"precision of the {count} most probable", f"{value:.3f}") for count, value in figures.precision.items()),
        ("Brier score", f"{figures.brier:.4f}"),
        ("such alarms a day", f"{figures.alarms_a_day:.1f}"),
        ("mean lead of the alarm over reaching the target", _hours(figures.lead_hours, "no alarm was right")),
        ("mean lead of the alarm over the old rule", _hours(old.lead_hours, _no_lead(figures))),
    ]
    return rows


def singles_of(figures: TargetFigures) -> str:
    """The AUC of each single feature, the best one first."""
    ordered = sorted(figures.auc_of_singles.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {value:.3f}" for name, value in ordered)


def remarks(result: Evaluation) -> list[str]:
    """What a reader must know to judge the figures."""
    left_out = "; ".join(f"{count} {reason}" for reason, count in result.selection.left_out.items() if count)
    return [
        f"{result.file}: {result.snapshots} lines of {result.posts} posts, {time_of(result.since)} to "
        f"{time_of(result.until)} UTC.",
        f"Tested: {len(result.selection.tested)} posts at their first snapshot, at an age of 15 minutes to 3 hours. "
        f"Left out: {left_out or 'none'}.",
        "Outcome: what the file shows of a post in the 15 hours after its first snapshot, while it is in the listing.",
        result.method,
        f"AUCs are means over the parts. Intervals (95 %) are by {RESAMPLES} bootstrap draws of each part's posts. "
        "They do not show how much the choice of another week would change. The single feature is the one that is best "
        "on the tested posts themselves.",
    ]


def lines(result: Evaluation) -> Iterator[str]:
    """The evaluation as text."""
    yield from remarks(result)
    for figures in result.targets:
        yield ""
        yield f"A post {figures.says} ({figures.name}): {figures.reached} of {figures.posts} posts"
        width = max(len(name) for name, _ in rows_of(figures))
        yield from (f"  {name:<{width}}  {value}" for name, value in rows_of(figures))
        yield f"  single features: {singles_of(figures)}"
        yield "  part since (UTC)  posts  reach  learnt from    AUC  single  form"
        for part in figures.parts:
            yield (
                f"  {time_of(part.since)}  {part.posts:>5}  {part.reached:>5}  {part.learnt_from or '':>11}  "
                f"{part.auc:5.3f}  {part.auc_of_single:6.3f}  {part.form}"
            )
        yield "  probability       posts   said  reach"
        for one in figures.calibration:
            yield f"  {one.lowest:6.3f} to {one.highest:6.3f}  {one.posts:>5}  {one.said:5.3f}  {one.reached:5.3f}"


def method_of(learnt_from: str | None, *, as_shipped: bool) -> str:
    """How the models came to be, in a sentence."""
    if as_shipped:
        return "Model: as shipped. If it was learnt from this file, the figures are too good."
    chosen = (
        f"The form is chosen among {len(FORMS)} within what may be learnt from, by four consecutive parts of it: the "
        "first form, unless another one is better by a standard error of the difference."
    )
    if learnt_from is not None:
        return f"Model: learnt from {learnt_from}. {chosen}"
    return (
        "Validation by time: the posts are cut into five consecutive parts. Each part but the first is tested with a "
        f"model learnt from the posts whose outcome was known when the part began. {chosen}"
    )


def _hours(hours: float | None, otherwise: str) -> str:
    return otherwise if hours is None else f"{hours:.2f} h"


def _no_lead(figures: TargetFigures) -> str:
    fires = figures.old_rule.fires
    if fires:
        return f"cannot be said: the old rule fires for {fires} of {figures.posts} posts, none of them with an alarm"
    return f"cannot be said: the old rule fires for none of {figures.posts} posts"
