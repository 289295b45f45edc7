"""Which posts a model is tested on, and what it was learnt from before."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from signalflow.domain.signals.viral import TERMS, TypicalPeaks, ViralModel, missing, viral_models
from signalflow.errors import Invalid
from signalflow.evaluation.choosing import choose, folds_of
from signalflow.evaluation.posts import Post, Target
from signalflow.evaluation.training import Form, check_kinds, train

FIFTHS = 5
# What a statistician would try first, to compare with.
PLAIN_FORM = Form(tuple(TERMS), 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Selection:
    """The posts of a file that can be tested, by first snapshot, and how many others there are and why."""

    tested: Sequence[Post]
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class Part:
    """A model, and posts that it has not learnt from. `plain` is the model to compare with, `form` what was learnt."""

    posts: Sequence[Post]
    model: ViralModel
    plain: ViralModel | None
    form: str
    learnt_from: int | None

    @property
    def peaks(self) -> TypicalPeaks:
        """What the model knows of subreddits."""
        return self.model.peaks


def select(posts: Sequence[Post], known: Sequence[Post] = ()) -> Selection:
    """Leave out the posts whose first snapshot or outcome the file does not show, and those of `known`."""
    begin, end = posts[0].seen, max(post.last for post in posts)
    seen_before = {post.key for post in known}
    reasons: dict[str, Callable[[Post], bool]] = {
        "learnt from": lambda post: post.key in seen_before,
        "in the first snapshot of the file, perhaps there before": lambda post: post.seen == begin,
        "first seen at another age than 15 minutes to 3 hours": lambda post: not post.is_young,
        "first seen in the last 15 hours of the file, so that the outcome is not known": lambda post: (
            not post.whole(end)
        ),
        "score, comments or ratio unknown": lambda post: bool(missing(post.first)),
    }
    left_out = dict.fromkeys(reasons, 0)
    tested = []
    for post in posts:
        reason = next((name for name, applies in reasons.items() if applies(post)), None)
        if reason is None:
            tested.append(post)
        else:
            left_out[reason] += 1
    return Selection(tested, left_out)


def settled_of(posts: Sequence[Post]) -> list[Post]:
    """The posts whose outcome the end of their file settles."""
    end = max(post.last for post in posts)
    return [post for post in posts if post.settled(end)]


def by_time(posts: Sequence[Post], tested: Sequence[Post], target: Target) -> Iterator[Part]:
    """Consecutive fifths: each but the first is tested with what was settled when it began."""
    if len(tested) < FIFTHS:
        raise Invalid(f"{len(tested)} posts can be tested; validation by time needs more")
    for fold in folds_of(posts, tested, FIFTHS):
        yield learnt(fold.past, fold.test, target)


def learnt(past: Sequence[Post], test: Sequence[Post], target: Target) -> Part:
    """One part, with a form that is chosen within `past`. All of `past` must be settled."""
    check_kinds(test, target, "test")
    form = choose(past, target)
    model = train(past, target, form)
    return Part(test, model, train(past, target, PLAIN_FORM), form.name, sum(post.is_young for post in past))


def shipped(test: Sequence[Post], target: Target) -> Part:
    """The model that the project ships, on these posts."""
    check_kinds(test, target, "test")
    return Part(test, viral_models()[target.name], None, f"as shipped, learnt from {_origin()}", None)


def _origin() -> str:
    document = json.loads(files("signalflow.data").joinpath("viral.json").read_text(encoding="utf-8"))
    return str(document["origin"])
