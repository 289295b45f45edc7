"""Titles and bodies."""

import gzip
from pathlib import Path
from random import Random

import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from signalflow.errors import Invalid
from signalflow.simulator.config import Parameters
from signalflow.simulator.subreddits import default_subreddits
from signalflow.simulator.text import Texts, comment_text
from signalflow.simulator.vocabulary import COMMENTS, COMMON, GENERAL_TITLES, SENTENCES, STORY_TITLES, THEMES, terms_of
from signalflow.simulator.world import World

EPOCH = 1_777_990_400.0


def patterns() -> list[str]:
    own = [p for theme in THEMES.values() for p in (*theme.titles, *theme.actors, *theme.events)]
    words = [word for choices in COMMON.values() for word in choices]
    terms = [term for sub in default_subreddits() for term in terms_of(sub.name)]
    return [*own, *words, *terms, *GENERAL_TITLES, *SENTENCES, *COMMENTS, *STORY_TITLES]


def test_every_name_in_a_pattern_has_words() -> None:
    known = {"{term}", "{actor}", "{event}", *(f"{{{name}}}" for name in COMMON)}
    for pattern in patterns():
        left = pattern
        for name in known:
            left = left.replace(name, "")
        assert "{" not in left, pattern
        assert "}" not in left, pattern


@pytest.mark.slow
def test_titles_are_readable_varied_and_sometimes_strong() -> None:
    world, texts = World(Parameters(epoch=EPOCH, history=14_400.0)), Texts()
    titles = [texts.of(post).title for post in world.new_posts_between(EPOCH - 14_400, EPOCH) if not post.story]
    assert len(titles) > 1_000
    assert len(set(titles)) > 0.85 * len(titles)
    assert all(10 <= len(title) <= 300 and title[0] == title[0].upper() and "{" not in title for title in titles)
    analyzer = SentimentIntensityAnalyzer()
    scores = [analyzer.polarity_scores(title)["compound"] for title in titles]
    assert sum(score > 0.5 for score in scores) > 0.08 * len(titles)
    assert sum(score < -0.5 for score in scores) > 0.08 * len(titles)


def test_a_text_depends_only_on_the_post() -> None:
    post = World(Parameters(epoch=EPOCH)).new_posts_between(EPOCH - 600, EPOCH)[0]
    assert Texts().of(post) == Texts().of(post)
    assert comment_text("rust", Random(1)) == comment_text("rust", Random(1))


def test_the_posts_of_a_story_say_the_same_in_other_words() -> None:
    world = World(Parameters(epoch=EPOCH, growth=12.0))
    story = next(s for s in world.stories_between(EPOCH - 7_200, EPOCH) if s.kind == "everywhere")
    titles = [post.title for post in story.posts]
    assert len(set(titles)) == len(titles)
    # The words of the event are in every title.
    shared = set.intersection(*(set(title.lower().strip(".!").split()) for title in titles))
    assert len(shared) >= 4


@pytest.mark.parametrize("name", ["corpus.ndjson", "corpus.ndjson.gz"])
def test_a_corpus_gives_its_texts_to_its_subreddits(tmp_path: Path, name: str) -> None:
    lines = b"\n".join(
        [
            b'{"subreddit":"Python","title":"Ham &amp; eggs","selftext":"Body","is_self":true,'
            b'"url":"http://x/","domain":"x"}',
            b'{"subreddit":"rust","title":"Rusty","is_self":false,"url":"http://y/","domain":"y",'
            b'"link_flair_text":"News"}',
            b"rubbish",
            b'{"subreddit":"rust"}',
        ]
    )
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    texts = Texts(str(path))
    world = World(Parameters(epoch=EPOCH, stories_per_hour=0.0))
    by_name = {post.subreddit.name: texts.of(post) for post in world.new_posts_between(EPOCH - 7_200, EPOCH)}
    assert by_name["Python"].title == "Ham & eggs"
    assert (by_name["rust"].title, by_name["rust"].flair) == ("Rusty", "News")
    assert by_name["worldnews"].title in ("Ham & eggs", "Rusty")


def test_a_corpus_without_posts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.ndjson"
    path.write_text("{}\n")
    with pytest.raises(Invalid, match="no posts"):
        Texts(str(path))


@pytest.mark.slow
def test_the_real_posts_of_2013_serve_as_a_corpus(shared_data: Path) -> None:
    texts = Texts(str(shared_data / "real_posts_2013.ndjson.gz"))
    posts = World(Parameters(epoch=EPOCH)).new_posts_between(EPOCH - 3_600, EPOCH)
    titles = {texts.of(post).title for post in posts}
    assert len(titles) > 0.7 * len(posts)
