"""What a signal says, in words that a person would say. Pure.

Times are UTC, and say so. What is unknown is left out. A likelihood is rounded down, and never to 0 or 100 %.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from signalflow.domain.words import SignalKind, SignalSubject

MOST_KEYWORDS = 3
# Of several posts, so large a share must have a keyword in common for them to be "mostly about" it.
_SHARED_BY = 0.2
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# The hour at which each part of a day ends.
_PARTS = ((6, "an early {} morning"), (12, "a {} morning"), (18, "a {} afternoon"), (22, "a {} evening"))
# What the inputs of a forecast are called.
_CONTRIBUTIONS = {
    "score": "its score beside those of other posts of its age",
    "velocity": "how fast its score rises",
}


class Signal(Protocol):
    """What the words are made from: the fields of a signal as it is stored or comes from the log."""

    @property
    def kind(self) -> SignalKind: ...
    @property
    def subject_kind(self) -> SignalSubject: ...
    @property
    def subject(self) -> str: ...
    @property
    def subreddit(self) -> str | None: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def strength(self) -> float: ...
    @property
    def observed(self) -> float: ...
    @property
    def expected(self) -> float: ...
    @property
    def inputs(self) -> Mapping[str, float | None]: ...


@dataclass(frozen=True, slots=True)
class About:
    """What is known of the posts behind a signal, as they are stored now.

    `keywords`: what they are mostly about, best first. Of a signal of a term also `term`, whose hash is the subject,
    `is_erased`, when all posts that had the term are erased, and `subreddit`, where most of the posts are.
    """

    keywords: Sequence[str] = ()
    term: str | None = None
    is_erased: bool = False
    subreddit: str | None = None


NOTHING_KNOWN = About()


def words_of(signal: Signal, about: About) -> dict[str, str]:
    """Everything that is said of a signal, by the names that the API uses."""
    return {"sentence": sentence(signal, about), "how_sure": how_sure(signal), "why": why(signal)}


def sentence(signal: Signal, about: About = NOTHING_KNOWN) -> str:
    """Where, what and how unusual."""
    keywords = about.keywords
    if signal.subject_kind == "term":
        return f"{_term(about)}: {_posts(signal.observed)} in an hour {_beside_past(signal)}{_places(signal, about)}."
    if signal.subject_kind == "subreddit":
        mostly = f", mostly about {_list(keywords)}" if keywords else ""
        here = f"r/{signal.subreddit or signal.subject}"
        return f"{here}: {_posts(signal.observed)} in 15 minutes, {_beside_usual(signal)}{mostly}."
    what = f" about {_list(keywords)}" if keywords else ""
    post = f"A post{what}" if signal.subreddit is None else f"r/{signal.subreddit}: a post{what}"
    age = signal.inputs.get("age_seconds")
    after = "" if age is None else f" after {span_text(age)}"
    points = f"{points_text(signal.observed)}{after}"
    if signal.kind == "viral":
        there = "its subreddit" if signal.subreddit is None else f"r/{signal.subreddit}"
        least = f"{points_text(signal.expected)} or more"
        return f"{post} with {points} is {how_sure(signal)} to be among the best 1 % of {there} ({least})."
    return f"{post} has {points}, {_beside_usual_score(signal)}."


def how_sure(signal: Signal) -> str:
    """The strength in words: `73 % likely`, or how far from what is usual; of a term how rare it is by chance."""
    if signal.kind == "viral":
        return f"{_percent(signal.strength)} likely"
    if signal.subject_kind == "term":
        return _by_chance(signal.inputs.get("chance"))
    side = "below" if signal.observed < signal.expected else "above"
    # A hair more, because 2.3 * 10 is a hair less than 23.
    deviations = math.floor(abs(signal.strength) * 10 + 1e-9) / 10
    return f"{deviations:.1f} standard deviations {side} what is usual"


def why(signal: Signal) -> str:
    """The numbers behind it in one or two sentences; empty when none but those of the sentence are known."""
    known = {name: value for name, value in signal.inputs.items() if value is not None}
    if signal.kind == "viral":
        return " ".join(filter(None, (_forecast(known), _contributions(known))))
    if signal.subject_kind == "post":
        if "posts_known" not in known:
            return ""
        posts = known["posts_known"]
        many = "the one post" if posts == 1 else f"the {_number(posts)} posts"
        return f"{points_text(signal.expected)} {_is(signal.expected)} the median of {many} of that age that are known."
    if signal.subject_kind == "term":
        return _past(known)
    if "variance" not in known:
        return ""
    spread = _number(math.sqrt(max(known["variance"], 0)))
    return f"{_posts(signal.expected)} {_is(signal.expected)} usual then, give or take {spread}."


def mostly_about(keywords: Sequence[Sequence[str]]) -> list[str]:
    """What posts are mostly about, by the keywords of each, best first; of several, what enough have in common."""
    posts = [words for words in keywords if words]
    if len(posts) < 2:
        return [word for words in posts for word in words][:MOST_KEYWORDS]
    counts = Counter(word for words in posts for word in dict.fromkeys(words))
    shared = [(-number, word) for word, number in counts.items() if number >= max(2, _SHARED_BY * len(keywords))]
    return [word for _, word in sorted(shared)][:MOST_KEYWORDS]


def _beside_usual(signal: Signal) -> str:
    when = f"for {_part_of_week(signal.started_at)} (UTC)"
    if signal.observed < signal.expected:
        return f"fewer than its usual {_number(signal.expected)} {when}"
    if signal.expected < 1:
        return f"where fewer than one is usual {when}"
    return f"{_times(signal.observed / signal.expected)} its usual number {when}"


def _term(about: About) -> str:
    return "A term of erased posts" if about.is_erased else "A term" if about.term is None else f"“{about.term}”"


def _beside_past(signal: Signal) -> str:
    # The first digit that is not 0 tells how rare a term is.
    expected = f"{signal.expected:.1g}" if 0 < signal.expected < 0.1 else _number(signal.expected)
    return f"where {expected} {_is(signal.expected)} usual"


def _places(signal: Signal, about: About) -> str:
    number = int(signal.inputs.get("subreddits") or 0)
    place = about.subreddit or signal.subreddit
    if place is None:
        return f", in {number} subreddits" if number > 1 else ""
    if number < 2:
        return f", in r/{place}"
    return f", in r/{place} and {number - 1} other {'subreddit' if number == 2 else 'subreddits'}"


def _by_chance(chance: float | None) -> str:
    if not chance:
        return ""
    if chance < 1e-9:
        return "less than 1 in a billion by chance"
    # Two digits, rounded down; a hair more, because 1 / 2e-5 is a hair less than 50,000.
    once_in = 1 / chance * (1 + 1e-9)
    digit = 10 ** max(math.floor(math.log10(once_in)) - 1, 0)
    return f"1 in {_number(once_in // digit * digit)} by chance"


def _past(known: Mapping[str, float]) -> str:
    if not {"past_posts", "past_hours", "count"} <= known.keys():
        return ""
    before = (
        f"{_posts(known['past_posts'])} in {_number(known['past_hours'])} hours before, the older the less they count"
    )
    return f"{before}; {_posts(known['count'])} since it began."


def _beside_usual_score(signal: Signal) -> str:
    age = signal.inputs.get("age_seconds")
    of_age = "at its age" if age is None else "at that age"
    if signal.expected < 1 or signal.observed < signal.expected:
        return f"where {points_text(signal.expected)} {_is(signal.expected)} usual {of_age}"
    return f"{_times(signal.observed / signal.expected)} what is usual there {of_age}"


def _forecast(known: Mapping[str, float]) -> str:
    if not {"forecast_low", "forecast_high"} <= known.keys():
        return ""
    low, high = _number(known["forecast_low"]), points_text(known["forecast_high"])
    median = f"about {points_text(known['forecast_median'])}, and " if "forecast_median" in known else ""
    return f"It is expected to end at {median}with 80 % likelihood between {low} and {high}."


def _contributions(known: Mapping[str, float]) -> str:
    added = sorted(
        ((value, text) for name, text in _CONTRIBUTIONS.items() if (value := known.get(f"log_odds_{name}"))),
        reverse=True,
    )
    for_it = [text for value, text in added if value > 0]
    against = [text for value, text in reversed(added) if value < 0]
    parts = [f"For it: {_list(for_it)}" if for_it else "", f"against it: {_list(against)}" if against else ""]
    text = "; ".join(filter(None, parts))
    return text and f"{text[0].upper()}{text[1:]}."


def _part_of_week(moment: datetime) -> str:
    form = next((form for end, form in _PARTS if moment.hour < end), "a {} night")
    return form.format(_WEEKDAYS[moment.weekday()])


def _times(ratio: float) -> str:
    return "as many as" if ratio < 1.05 else f"{_number(ratio)} times"


def _number(value: float) -> str:
    """A number as people write it: 1.2 million, 12,345, 12, 1.5."""
    if abs(value) >= 999_950:
        return f"{value / 1e6:,.1f}".removesuffix(".0") + " million"
    return f"{value:,.0f}" if abs(value) >= 9.95 else f"{value:.1f}".removesuffix(".0").replace("-0", "0")


def _posts(value: float) -> str:
    return f"{_number(value)} {'post' if _number(value) == '1' else 'posts'}"


def points_text(value: float) -> str:
    """So many points, as people write it."""
    return f"{_number(value)} {'point' if _number(value) in ('1', '-1') else 'points'}"


def _is(value: float) -> str:
    return "is" if _number(value) in ("1", "-1") else "are"


def _percent(share: float) -> str:
    # A hair more, because 0.29 * 100 is a hair less than 29.
    percent = math.floor(share * 100 + 1e-9)
    if percent < 1:
        return "less than 1 %"
    return f"{percent} %" if share < 0.99 else "more than 99 %"


def span_text(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, size, least in (("day", 86_400, 172_800), ("hour", 3600, 7200), ("minute", 60, 60)):
        if seconds >= least:
            number = int(seconds // size)
            return f"{number} {unit if number == 1 else f'{unit}s'}"
    return "less than a minute"


def _list(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
