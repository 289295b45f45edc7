"""Learning a model of a target from settled posts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from signalflow.domain.signals.viral import (
    TERMS,
    ObservedPost,
    Term,
    TypicalPeaks,
    ViralModel,
    missing,
    read_input,
    sigmoid,
)
from signalflow.errors import Invalid
from signalflow.evaluation.fitting import fit_logistic
from signalflow.evaluation.posts import Post, Target

# A subreddit with five posts is believed half: its mean is drawn towards that of all posts as if by so many of these.
BELIEVED_HALF = 5.0
# Fewer posts of either kind tell nothing about seven coefficients.
FEWEST_OF_A_KIND = 5
# The penalty of the slope that turns grades into probabilities. There is one slope, so it needs hardly any.
_SLOPE_PENALTY = 1.0


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of model.

    `grade`: 0 learns from whether the target was reached. Else it learns from how nearly: a post that came to a share q
    of the limit counts as q^(1/grade) / (1 + q^(1/grade)), which is 0.5 at the limit. `penalty` as in `fit_logistic`.
    """

    inputs: tuple[str, ...]
    penalty: float
    grade: float

    @property
    def name(self) -> str:
        """Names the form in reports."""
        grades = "how nearly" if self.grade else "whether"
        return f"{', '.join(self.inputs)}; penalty {self.penalty:g}; learns {grades} the target was reached"


class PeakSums:
    """Sums of the logarithms of peaks, by subreddit."""

    def __init__(self, posts: Iterable[Post]) -> None:
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        for post in posts:
            name = post.first.subreddit.lower()
            self._sums[name] += _log_peak(post)  # type: ignore[assignment]
            self._counts[name] += 1
        self._of_all = sum(self._sums.values()) / max(self._counts.total(), 1)

    def without(self, post: Post) -> float:
        """The typical log peak of a post's subreddit, as it were without this post: its outcome must not predict it."""
        name = post.first.subreddit.lower()
        return self._drawn(self._sums[name] - _log_peak(post), self._counts[name] - 1)

    def peaks(self) -> TypicalPeaks:
        """What the model keeps of them."""
        return TypicalPeaks(
            self._of_all, {name: self._drawn(self._sums[name], count) for name, count in self._counts.items()}
        )

    def _drawn(self, total: float, count: int) -> float:
        return (total + BELIEVED_HALF * self._of_all) / (count + BELIEVED_HALF)


def _log_peak(post: Post) -> float:
    return log(max(post.peak, 1))


def usable(posts: Iterable[Post]) -> list[Post]:
    """The posts whose first snapshot tells a model everything it may ask."""
    return [post for post in posts if not missing(post.first)]


def check_kinds(posts: Sequence[Post], target: Target, purpose: str, fewest: int = 1) -> None:
    """Raise Invalid unless `posts` has so many posts that reached the target, and so many that did not."""
    reached = sum(target.name in post.reached for post in posts)
    if min(reached, len(posts) - reached) < fewest:
        raise Invalid(
            f"{purpose}: of {len(posts)} posts {reached} reach the target {target.name}; "
            f"at least {fewest} must, and {fewest} must not"
        )


def train(settled: Sequence[Post], target: Target, form: Form) -> ViralModel:
    """Learn from settled posts. Raises Invalid if too few of the young ones reach the target, or too few do not.

    Older posts count too for what is typical of their subreddit. The order of `settled` does not matter, but for the
    last digits of the coefficients.
    """
    young = usable(settled)
    check_kinds(young, target, "training", FEWEST_OF_A_KIND)
    sums = PeakSums(settled)
    names = [term for name in form.inputs for term in TERMS[name]]
    rows = [_row(post.first, sums.without(post), form.inputs) for post in young]
    outcomes = [float(target.name in post.reached) for post in young]
    if not form.grade:
        fit = fit_logistic(rows, outcomes, form.penalty)
        base, slope = fit.base, 1.0
    else:
        grades = [sigmoid(log(target.level_of(post) / target.limit) / form.grade) for post in young]
        fit = fit_logistic(rows, grades, form.penalty)
        # The grades order the posts; how probable the target is for a grade is learnt from whether it was reached.
        scale = fit_logistic([[fit.log_odds(row)] for row in rows], outcomes, _SLOPE_PENALTY)
        slope = scale.weights[0]
        base = scale.base + slope * (fit.base - scale.centres[0])
    terms = {
        name: Term(slope * weight, centre) for name, weight, centre in zip(names, fit.weights, fit.centres, strict=True)
    }
    return ViralModel(base, terms, sums.peaks())


def _row(post: ObservedPost, log_typical_peak: float, inputs: Sequence[str]) -> list[float]:
    return [x for name in inputs for x in read_input(name, post, log_typical_peak)[1]]
