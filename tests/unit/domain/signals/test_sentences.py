"""The words of signals: what a person would say, and never more than the numbers tell."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from signalflow.domain.signals.sentences import About, how_sure, mostly_about, points_text, sentence, why, words_of
from signalflow.domain.words import SignalKind, SignalSubject

# A Tuesday.
NIGHT = datetime(2026, 1, 6, 23, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    kind: SignalKind = "unusual_here"
    subject_kind: SignalSubject = "subreddit"
    subject: str = "python"
    subreddit: str | None = "python"
    started_at: datetime = NIGHT
    strength: float = 5.27
    observed: float = 12
    expected: float = 3
    inputs: dict[str, float | None] = field(default_factory=dict)


POST = Told(subject_kind="post", subject="abc", observed=480, expected=30, inputs={"age_seconds": 7300})
VIRAL = replace(POST, kind="viral", strength=0.739, expected=2300)
TERM = Told(
    kind="burst", subject_kind="term", subject="628b20622b1aa2fc", subreddit=None, observed=9, expected=0.31,
    inputs={"subreddits": 4.0, "past_posts": 3.2, "past_hours": 60.0, "count": 14.0, "chance": 1 / 23_000.0},
)  # fmt: skip
LAUNCH = About(("rocket launch", "nasa"), "rocket launch", subreddit="space")


@pytest.mark.parametrize(
    ("signal", "keywords", "said"),
    [
        (
            Told(),
            ["asyncio", "gil"],
            "r/python: 12 posts in 15 minutes, 4 times its usual number for a Tuesday night (UTC), mostly about "
            "asyncio and gil.",
        ),
        (
            Told(),
            ["a", "b", "c"],
            "r/python: 12 posts in 15 minutes, 4 times its usual number for a Tuesday night (UTC), mostly about a, "
            "b and c.",
        ),
        (
            Told(expected=5),
            [],
            "r/python: 12 posts in 15 minutes, 2.4 times its usual number for a Tuesday night (UTC).",
        ),
        (
            Told(observed=5, expected=0.2),
            [],
            "r/python: 5 posts in 15 minutes, where fewer than one is usual for a Tuesday night (UTC).",
        ),
        (
            Told(observed=5, expected=0),
            [],
            "r/python: 5 posts in 15 minutes, where fewer than one is usual for a Tuesday night (UTC).",
        ),
        (
            Told(observed=1, expected=8),
            [],
            "r/python: 1 post in 15 minutes, fewer than its usual 8 for a Tuesday night (UTC).",
        ),
        (
            Told(observed=3.1, expected=3),
            [],
            "r/python: 3.1 posts in 15 minutes, as many as its usual number for a Tuesday night (UTC).",
        ),
        (
            Told(kind="burst", observed=1_234_567, expected=1000),
            [],
            "r/python: 1.2 million posts in 15 minutes, 1,235 times its usual number for a Tuesday night (UTC).",
        ),
        (
            POST,
            ["asyncio"],
            "r/python: a post about asyncio has 480 points after 2 hours, 16 times what is usual there at that age.",
        ),
        (
            replace(POST, inputs={"age_seconds": None}),
            [],
            "r/python: a post has 480 points, 16 times what is usual there at its age.",
        ),
        (
            replace(POST, observed=1, expected=-2, subreddit=None, inputs={}),
            [],
            "A post has 1 point, where -2 points are usual at its age.",
        ),
        (
            replace(POST, observed=2, expected=1, inputs={"age_seconds": 61}),
            [],
            "r/python: a post has 2 points after 1 minute, 2 times what is usual there at that age.",
        ),
        (
            replace(POST, observed=0, expected=1, inputs={"age_seconds": 30}),
            [],
            "r/python: a post has 0 points after less than a minute, where 1 point is usual at that age.",
        ),
        (
            VIRAL,
            ["asyncio"],
            "r/python: a post about asyncio with 480 points after 2 hours is 73 % likely to be among the best 1 % "
            "of r/python (2,300 points or more).",
        ),
        (
            replace(VIRAL, subreddit=None, inputs={}),
            [],
            "A post with 480 points is 73 % likely to be among the best 1 % of its subreddit (2,300 points or more).",
        ),
    ],
)
def test_a_signal_is_said_in_one_sentence(signal: Told, keywords: list[str], said: str) -> None:
    assert sentence(signal, About(keywords)) == said


@pytest.mark.parametrize(
    ("signal", "about", "said"),
    [
        (
            TERM,
            LAUNCH,
            "“rocket launch”: 9 posts in an hour where 0.3 are usual, in r/space and 3 other subreddits.",
        ),
        (
            replace(TERM, expected=0.034, inputs={"subreddits": 2.0}),
            LAUNCH,
            "“rocket launch”: 9 posts in an hour where 0.03 are usual, in r/space and 1 other subreddit.",
        ),
        (
            replace(TERM, observed=24, expected=1, subreddit="space", inputs={"subreddits": 1.0}),
            About(),
            "A term: 24 posts in an hour where 1 is usual, in r/space.",
        ),
        (
            TERM,
            About(is_erased=True),
            "A term of erased posts: 9 posts in an hour where 0.3 are usual, in 4 subreddits.",
        ),
        (replace(TERM, inputs={}), About(), "A term: 9 posts in an hour where 0.3 are usual."),
    ],
)
def test_a_burst_says_how_many_posts_tell_it_and_where_and_the_term_if_it_is_known(
    signal: Told, about: About, said: str
) -> None:
    assert sentence(signal, about) == said


@pytest.mark.parametrize(
    ("chance", "said"),
    [
        (1 / 23_990, "1 in 23,000 by chance"),
        (2e-5, "1 in 50,000 by chance"),
        (0.3, "1 in 3 by chance"),
        (4e-7, "1 in 2.5 million by chance"),
        (1e-12, "less than 1 in a billion by chance"),
        (None, ""),
    ],
)
def test_a_burst_says_how_rare_it_is_by_chance(chance: float | None, said: str) -> None:
    assert how_sure(replace(TERM, inputs={"chance": chance})) == said


def test_a_burst_says_what_was_before() -> None:
    assert why(TERM) == "3.2 posts in 60 hours before, the older the less they count; 14 posts since it began."
    assert why(replace(TERM, inputs={})) == ""


@pytest.mark.parametrize(
    ("hour", "said"),
    [
        (0, "an early Wednesday morning"),
        (5, "an early Wednesday morning"),
        (6, "a Wednesday morning"),
        (12, "a Wednesday afternoon"),
        (18, "a Wednesday evening"),
        (22, "a Wednesday night"),
    ],
)
def test_the_start_is_a_part_of_a_day_in_utc(hour: int, said: str) -> None:
    started = NIGHT.replace(day=7, hour=hour, minute=0)
    assert f"for {said} (UTC)" in sentence(replace(Told(), started_at=started))


@pytest.mark.parametrize(
    ("strength", "said"),
    [
        (0.739, "73 % likely"),
        (0.29, "29 % likely"),
        (0.9899, "98 % likely"),
        (0.99, "more than 99 % likely"),
        (1.0, "more than 99 % likely"),
        (0.004, "less than 1 % likely"),
    ],
)
def test_a_likelihood_is_never_said_higher_than_it_is(strength: float, said: str) -> None:
    assert how_sure(replace(VIRAL, strength=strength)) == said


def test_what_is_unusual_says_on_which_side() -> None:
    assert how_sure(Told(strength=5.29)) == "5.2 standard deviations above what is usual"
    assert how_sure(Told(strength=2.3)) == "2.3 standard deviations above what is usual"
    assert how_sure(Told(strength=-3.1, observed=1, expected=8)) == "3.1 standard deviations below what is usual"


FORECAST = {"forecast_median": 3100.0, "forecast_low": 1900.0, "forecast_high": 5200.0}
ODDS = {"log_odds_base": -4.0, "log_odds_score": 2.0, "log_odds_velocity": 1.2}


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (replace(Told(), inputs={"mean": 3, "variance": 2.25}), "3 posts are usual then, give or take 1.5."),
        (replace(Told(expected=1), inputs={"variance": 4}), "1 post is usual then, give or take 2."),
        (Told(), ""),
        (
            replace(POST, inputs={"posts_known": 5000}),
            "30 points are the median of the 5,000 posts of that age that are known.",
        ),
        (POST, ""),
        (
            replace(VIRAL, inputs=FORECAST | ODDS),
            "It is expected to end at about 3,100 points, and with 80 % likelihood between 1,900 and 5,200 points. "
            "For it: its score beside those of other posts of its age and how fast its score rises.",
        ),
        (
            replace(VIRAL, inputs={"log_odds_score": 2.0, "log_odds_velocity": -0.2}),
            "For it: its score beside those of other posts of its age; against it: how fast its score rises.",
        ),
        (
            replace(VIRAL, inputs={"log_odds_score": -0.5, "log_odds_velocity": None}),
            "Against it: its score beside those of other posts of its age.",
        ),
        (replace(VIRAL, inputs={"forecast_low": 5.0, "forecast_high": None}), ""),
    ],
)
def test_the_reasons_name_what_is_known_and_leave_out_the_rest(signal: Told, said: str) -> None:
    assert why(signal) == said


@pytest.mark.parametrize(
    ("keywords", "about"),
    [
        ([], []),
        ([["a", "b", "c", "d"]], ["a", "b", "c"]),
        ([["a"], []], ["a"]),
        ([["a", "b"], ["b", "c"], ["d"]], ["b"]),
        ([["b", "a"], ["a", "b"], ["a"]], ["a", "b"]),
        ([["a", "a"], ["b"]], []),
        # Two of eleven are not what posts are mostly about; three are.
        ([["a"], ["a"], *[["x"]] * 1, *[[f"y{number}"] for number in range(8)]], []),
        ([["a"], ["a"], ["a"], *[[f"y{number}"] for number in range(8)]], ["a"]),
    ],
)
def test_posts_are_mostly_about_what_enough_of_them_have_in_common(keywords: list[list[str]], about: list[str]) -> None:
    assert mostly_about(keywords) == about


def test_ages_are_said_in_units_of_people() -> None:
    said = [
        sentence(replace(POST, inputs={"age_seconds": age.total_seconds()})).split(" after ")[1].split(",")[0]
        for age in (timedelta(minutes=119), timedelta(hours=2), timedelta(hours=47), timedelta(hours=48))
    ]
    assert said == ["119 minutes", "2 hours", "47 hours", "2 days"]


def test_the_words_of_a_signal_are_its_sentence_how_sure_and_why() -> None:
    about = About(["asyncio"])
    assert words_of(VIRAL, about) == {
        "sentence": sentence(VIRAL, about),
        "how_sure": how_sure(VIRAL),
        "why": why(VIRAL),
    }
    assert words_of(Told(), about)["sentence"].endswith("mostly about asyncio.")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (1, "1 point"), (-1, "-1 point"), (0, "0 points"), (-0.01, "0 points"), (1.04, "1 point"), (1.1, "1.1 points"),
        (9.94, "9.9 points"), (9.95, "10 points"), (10.4, "10 points"), (999_949, "999,949 points"),
        (999_950, "1 million points"), (-1_230_000, "-1.2 million points"), (2_000_000, "2 million points"),
    ],
)  # fmt: skip
def test_numbers_are_as_exact_as_people_say_them(points: float, said: str) -> None:
    assert points_text(points) == said
