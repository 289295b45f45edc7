"""Choosing among forms of a model by time validation inside of what may be learnt from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from signalflow.domain.signals.viral import ViralModel
from signalflow.evaluation.figures import gain_of_auc
from signalflow.evaluation.posts import Post, Target
from signalflow.evaluation.training import FEWEST_OF_A_KIND, Form, train, usable

_PLAIN = ("velocity", "comments", "ratio", "subreddit")
# From the fewest inputs on, then the forms that learn how nearly, then the strongest penalty. The first one is taken
# where there is too little to choose by.
FORMS = tuple(
    Form(inputs, penalty, grade)
    for inputs in (_PLAIN, (*_PLAIN, "hour"), (*_PLAIN, "age"), (*_PLAIN, "age", "hour"))
    for grade in (1.0, 0.0)
    for penalty in (20.0, 5.0, 1.0)
)
PARTS = 4


@dataclass(frozen=True, slots=True)
class Fold:
    """What may be learnt from, and the later posts to test on."""

    past: Sequence[Post]
    test: Sequence[Post]


def folds_of(posts: Sequence[Post], tested: Sequence[Post], parts: int) -> Iterator[Fold]:
    """Cut `tested` into consecutive parts; each but the first is tested with what was settled when it began.

    A post belongs to the part of its first snapshot, and all posts of a snapshot belong to the same part.
    """
    cuts = [_start(tested, len(tested) * part // parts) for part in range(1, parts)] + [len(tested)]
    for start, end in pairwise(cuts):
        if start < end:
            now = tested[start].seen
            yield Fold([post for post in posts if post.seen < now and post.settled(now)], tested[start:end])


def _start(posts: Sequence[Post], index: int) -> int:
    """The index of the first post of the same snapshot."""
    while index and posts[index - 1].seen == posts[index].seen:
        index -= 1
    return index


def scored(model: ViralModel, posts: Sequence[Post], target: Target) -> list[tuple[float, bool]]:
    """Probability and outcome of posts that the model can judge."""
    answers = [(model.judge(post.first).probability, target.name in post.reached) for post in posts]
    return [(probability, hit) for probability, hit in answers if probability is not None]


def choose(past: Sequence[Post], target: Target, forms: Sequence[Form] = FORMS) -> Form:
    """The form with the best mean AUC over the parts of `past`, if it beats the first form by one standard error.

    The error is that of the difference on the same posts. Otherwise, and where `past` has too few posts to tell, it is
    the first form.
    """
    folds = [fold for fold in folds_of(past, usable(past), PARTS) if _tells(fold, target)]
    if not folds:
        return forms[0]
    first = _tests(folds, target, forms[0])
    gains = [(gain_of_auc(_tests(folds, target, form), first), form) for form in forms[1:]]
    best, form = max(gains, key=lambda pair: pair[0].mean)
    return form if best.mean > best.error else forms[0]


def _tests(folds: Sequence[Fold], target: Target, form: Form) -> list[list[tuple[float, bool]]]:
    return [scored(train(fold.past, target, form), fold.test, target) for fold in folds]


def _tells(fold: Fold, target: Target) -> bool:
    """Whether a model can be learnt and tested: there are some posts of each kind."""
    return all(
        fewest <= sum(target.name in post.reached for post in posts) <= len(posts) - fewest
        for posts, fewest in ((usable(fold.past), FEWEST_OF_A_KIND), (fold.test, 2))
    )
