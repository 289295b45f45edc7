"""Titles and bodies: from the grammar of a theme, or from a corpus."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from signalflow.simulator.posts import Post
from signalflow.simulator.vocabulary import THEMES


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a post; `body` is markdown with an empty line between paragraphs, "" for none."""

    title: str
    body: str
    author: str
    url: str
    domain: str
    flair: str | None


class Texts:
    """Finds the text of a post: a pure function of its seed and subreddit."""

    def __init__(self, corpus: str = "") -> None:
        self.of = lru_cache(maxsize=1_024)(self._make)

    def _make(self, post: Post) -> Text:
        rng = Random(post.text_seed)
        title = post.title or compose(post.subreddit.theme, rng)
        return Text(title, "", "someone", "https://example.org/", "example.org", None)


def compose(theme: str, rng: Random) -> str:
    """A title of a theme."""
    chosen = THEMES[theme]
    return rng.choice(chosen.titles).format(**{name: rng.choice(words) for name, words in chosen.words.items()})


def author_name(rng: Random) -> str:
    """A user name."""
    return f"user_{rng.randrange(100_000)}"


def comment_text(theme: str, rng: Random) -> str:
    """A comment."""
    return compose(theme, rng)
