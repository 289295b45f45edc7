"""Figures of bursts and clusters, of posts whose stories are known."""

import runpy
from pathlib import Path

import pytest

from signalflow.evaluation.bursts import (
    Crowd,
    Found,
    ToldPost,
    ToldStory,
    Trial,
    Truth,
    burst_figures,
    cluster_figures,
)

DAY = 86_400.0
START = 1_700_006_400.0
SCRIPT = Path(__file__).parents[3] / "scripts" / "evaluate_bursts.py"
QUAKE = "Earthquake near Bergen damages lighthouse"
OTTER = "Otter steals sandwich from senator"
NOISE = (
    "Zebra crossing repainted",
    "Zebra crossing is repainted",
    "Zebra, crossing, repainted",
    "Zebra crossing closed",
)


def told(post: str, minute: float, title: str, *, story: str | None = None, subreddit: str = "news") -> ToldPost:
    """A post so many minutes after the third day began, seen a second later."""
    at = START + 3 * DAY + minute * 60
    return ToldPost(post, subreddit, at, at + 1, title, "", story)


@pytest.fixture
def trial() -> Trial:
    """Two stories of four and five posts; one is told ten minutes earlier. Four posts of a crowd, four of nothing."""
    posts = [told(f"q{minute}", minute, QUAKE, story="quake") for minute in (0, 5, 10, 15)]
    posts += [told(f"o{minute}", 600 + minute, OTTER, story="otter") for minute in (0, 1, 2, 3, 40)]
    posts += [told(f"c{minute}", 300 + minute, "Fjord kayak tournament", subreddit="pics") for minute in (0, 1, 2, 3)]
    posts += [told(f"n{minute}", 900 + minute, title) for minute, title in enumerate(NOISE)]
    posts.append(told("alone", 601, "Otter steals sandwich from senator, again"))
    trial = Trial(START)
    for post in sorted(posts, key=lambda post: post.observed):
        trial.add(post)
    return trial


def truth() -> Truth:
    begin = START + 3 * DAY
    stories = [ToldStory("quake", "burst", begin), ToldStory("otter", "everywhere", begin + 36_000)]
    return Truth(
        [*stories, ToldStory("unseen", "burst", begin + 1)],
        [Crowd("pics", begin + 18_000, begin + 18_600)],
        START + 2 * DAY,
        START + 4 * DAY,
    )


def test_a_story_is_found_by_an_alarm_whose_posts_tell_it(trial: Trial) -> None:
    found = burst_figures(trial, truth(), (int,)).found
    assert found["burst"] == Found(2, 1, 901.0)
    assert found["burst"].rate == 0.5
    # One of the four posts that start this burst tells no story.
    assert found["everywhere"].found == 1


def test_alarms_of_crowds_and_false_ones_are_told_apart(trial: Trial) -> None:
    figures = burst_figures(trial, truth(), (int,))
    assert (figures.alarms_a_day, figures.crowd_alarms_a_day, figures.false_alarms_a_day) == (2.0, 0.5, 0.5)


def test_a_false_alarm_is_one_of_the_quiet_hours(trial: Trial) -> None:
    """The only hour of a cluster that has four posts of neither a story nor a crowd."""
    assert burst_figures(trial, truth(), (int,)).false_rate == 1.0


def test_terms_are_judged_apart_from_clusters(trial: Trial) -> None:
    terms = burst_figures(trial, truth(), (str,))
    both = burst_figures(trial, truth())
    assert terms.alarms_a_day > 0
    assert both.alarms_a_day == terms.alarms_a_day + 2.0


def test_what_is_noticed_before_the_first_judged_moment_is_no_false_alarm(trial: Trial) -> None:
    later = Truth([], [], START + 3.9 * DAY, START + 4 * DAY)
    assert burst_figures(trial, later).false_alarms_a_day == 0.0


def test_pairs_of_stories_and_clusters_are_compared(trial: Trial) -> None:
    figures = cluster_figures(trial)
    assert (figures.posts, figures.precision, figures.recall, figures.f1) == (18, 1.0, 1.0, 1.0)
    assert figures.mixed == 1


def test_a_cluster_of_two_stories_and_a_story_of_two_clusters_cost_precision_and_recall() -> None:
    trial = Trial(START)
    for place, (title, story) in enumerate([(QUAKE, "a"), (QUAKE, "a"), (QUAKE, "b"), (OTTER, "b"), (OTTER, "b")]):
        trial.add(told(f"p{place}", place, title, story=story))
    figures = cluster_figures(trial)
    # Together: three pairs of the quake, one of the otter; right: one and one. Of one story: one of a, three of b.
    assert (figures.precision, figures.recall) == (pytest.approx(2 / 4), pytest.approx(2 / 4))


@pytest.mark.slow
def test_planted_stories_of_a_simulated_day_are_found_with_few_false_alarms() -> None:
    """Goals: 95 % of the stories are found, at most 4 % of the quiet hours and ten a day are false alarms."""
    trial, planted = runpy.run_path(str(SCRIPT))["judged"](2.0)
    figures = burst_figures(trial, planted)
    stories = sum(found.stories for found in figures.found.values())
    assert stories >= 15
    assert sum(found.found for found in figures.found.values()) >= 0.95 * stories
    assert figures.false_alarms_a_day <= 10
    assert figures.false_rate <= 0.04
