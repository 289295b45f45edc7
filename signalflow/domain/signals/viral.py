"""Whether a post takes off, by what one observation of it tells: a logistic model whose every input can be named.

The coefficients were learnt from hourly snapshots of r/all's first 100 posts. So they speak of posts that are among
these within three hours of their creation, and say nothing of younger or older posts.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

# The format of the file of coefficients.
VERSION = 1
# Seconds. The model has learnt from first snapshots at these ages only.
YOUNGEST = 900
OLDEST = 10_800
# What the model can look at, in the order of an explanation. Each has one or two terms.
TERMS: Mapping[str, tuple[str, ...]] = {
    "velocity": ("log_velocity",),
    "comments": ("log_comments_per_point",),
    "ratio": ("log_dissent",),
    "subreddit": ("log_typical_peak",),
    "age": ("log_age",),
    "hour": ("hour_sine", "hour_cosine"),
}
# Keeps the logarithm finite at a ratio of 1, which Reddit tells with two decimals.
_LEAST_DISSENT = 0.02
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class ObservedPost:
    """What one observation tells of a post. Times are seconds since 1970; what is unknown is None."""

    subreddit: str
    created: float
    observed: float
    score: int | None
    comments: int | None
    ratio: float | None

    @property
    def age(self) -> float:
        """Seconds from the creation to this observation."""
        return self.observed - self.created


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one input adds to the log odds, against a post that is average in it. `value` is what a person would name.

    Values: velocity in points per second, comments per point, ratio, the subreddit's typical peak in points, age in
    seconds, hour of the day (UTC).
    """

    input: str
    value: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class Viral:
    """The answer: a probability and how each input moved it, or None and the inputs that are unknown.

    The log odds of the probability are `base` and all contributions together.
    """

    probability: float | None
    base: float
    contributions: tuple[Contribution, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A summand of the log odds: weight * (x - centre)."""

    weight: float
    centre: float


@dataclass(frozen=True, slots=True)
class TypicalPeaks:
    """The mean logarithm of the highest score of a subreddit's posts, drawn towards that of all posts.

    `of` has the subreddits in lower case; any other one has the mean of all.
    """

    of_all: float
    of: Mapping[str, float]

    def log_peak(self, subreddit: str) -> float:
        """The value of a subreddit, however its name is written."""
        return self.of.get(subreddit.lower(), self.of_all)


@dataclass(frozen=True, slots=True)
class ViralModel:
    """A model of one target, such as "a post reaches the first ten"."""

    base: float
    terms: Mapping[str, Term]
    peaks: TypicalPeaks

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that this model looks at."""
        return tuple(name for name, terms in TERMS.items() if terms[0] in self.terms)

    def judge(self, post: ObservedPost) -> Viral:
        """How probable the target is for a post, by this observation of it."""
        unknown = missing(post, self.inputs)
        if unknown:
            return Viral(None, self.base, (), unknown)
        log_peak = self.peaks.log_peak(post.subreddit)
        contributions = tuple(self._contribution(name, post, log_peak) for name in self.inputs)
        log_odds = self.base + sum(part.log_odds for part in contributions)
        return Viral(sigmoid(log_odds), self.base, contributions, ())

    def _contribution(self, name: str, post: ObservedPost, log_typical_peak: float) -> Contribution:
        value, numbers = read_input(name, post, log_typical_peak)
        terms = [self.terms[term] for term in TERMS[name]]
        return Contribution(
            name, value, sum(term.weight * (x - term.centre) for term, x in zip(terms, numbers, strict=True))
        )


def missing(post: ObservedPost, inputs: tuple[str, ...] = tuple(TERMS)) -> tuple[str, ...]:
    """The inputs that cannot be known from an observation; an age that the model has not learnt counts as unknown."""
    absent = set()
    if not YOUNGEST <= post.age <= OLDEST:
        absent.add("age")
    if post.score is None:
        absent |= {"velocity", "comments"}
    if post.comments is None:
        absent.add("comments")
    if post.ratio is None:
        absent.add("ratio")
    return tuple(name for name in TERMS if name in absent and (name in inputs or name == "age"))


def read_input(name: str, post: ObservedPost, log_typical_peak: float) -> tuple[float, tuple[float, ...]]:
    """What a person would name of an input that is known, and its terms. Scores below 1 count as 1 in terms."""
    if name == "age":
        return post.age, (math.log(post.age),)
    if name == "hour":
        angle = 2 * math.pi * (post.observed % _DAY) / _DAY
        return post.observed % _DAY / 3600, (math.sin(angle), math.cos(angle))
    if name == "subreddit":
        return math.exp(log_typical_peak), (log_typical_peak,)
    if name == "ratio":
        assert post.ratio is not None
        return post.ratio, (math.log(1 + _LEAST_DISSENT - post.ratio),)
    assert post.score is not None
    points = max(post.score, 1)
    if name == "velocity":
        return post.score / post.age, (math.log(points / post.age),)
    assert name == "comments"
    assert post.comments is not None
    return post.comments / points, (math.log((post.comments + 1) / points),)


def sigmoid(log_odds: float) -> float:
    """The probability of log odds, also of very large ones."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)


def read_models(document: Mapping[str, Any]) -> dict[str, ViralModel]:
    """The model of each target, from the document that scripts/make_viral_model.py writes."""
    if document["version"] != VERSION:
        raise ValueError(f"the coefficients have version {document['version']}, not {VERSION}")
    peaks = TypicalPeaks(document["log_typical_peak"]["of_all"], document["log_typical_peak"]["of"])
    return {
        name: ViralModel(
            target["base"],
            {term: Term(part["weight"], part["centre"]) for term, part in target["terms"].items()},
            peaks,
        )
        for name, target in document["targets"].items()
    }


def write_models(models: Mapping[str, ViralModel], *, origin: str, digits: int = 6) -> dict[str, Any]:
    """The document of models that share their typical peaks, with numbers rounded."""
    peaks = next(iter(models.values())).peaks
    return {
        "version": VERSION,
        "origin": origin,
        "targets": {
            name: {
                "base": round(model.base, digits),
                "terms": {
                    term: {"weight": round(part.weight, digits), "centre": round(part.centre, digits)}
                    for term, part in model.terms.items()
                },
            }
            for name, model in models.items()
        },
        "log_typical_peak": {
            "of_all": round(peaks.of_all, digits),
            "of": {name: round(value, digits) for name, value in sorted(peaks.of.items())},
        },
    }


@lru_cache(maxsize=1)
def viral_models() -> dict[str, ViralModel]:
    """The models that the project ships, by target, made by scripts/make_viral_model.py."""
    text = files("signalflow.data").joinpath("viral.json").read_text(encoding="utf-8")
    return read_models(json.loads(text))
