"""Titles, bodies, comments and user names, generated or from a corpus: pure functions of a random generator's seed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from signalflow.simulator.corpus import Corpus
from signalflow.simulator.posts import Post
from signalflow.simulator.vocabulary import (
    COMMENTS,
    COMMON,
    DOMAINS,
    FLAIRS,
    GENERAL_TITLES,
    SENTENCES,
    THEMES,
    terms_of,
)

MAX_TITLE = 300
# One title in five follows a general pattern; these have the strongest words.
GENERAL_SHARE = 0.2
FLAIR_SHARE = 0.4
SENTENCES_PER_PARAGRAPH = 4
_NAME = re.compile(r"\{(\w+)\}")
_FIRST = ("quiet", "salty", "north", "paper", "iron", "lucky", "sleepy", "green", "odd", "rapid", "velvet", "plain")
_SECOND = ("otter", "harbor", "lantern", "comet", "walrus", "pixel", "teapot", "canyon", "sparrow", "biscuit", "anvil")


@dataclass(frozen=True, slots=True)
class Text:
    """The texts of a post. `body` is markdown with an empty line between paragraphs; "" for none."""

    title: str
    body: str
    author: str
    url: str
    domain: str
    flair: str | None


class Texts:
    """Finds the texts of a post. Raises Invalid for a corpus without posts."""

    def __init__(self, corpus: str = "") -> None:
        self._corpus = Corpus(corpus) if corpus else None
        self.of = lru_cache(maxsize=1_024)(self._make)

    def _make(self, post: Post) -> Text:
        rng = Random(post.text_seed)
        author = author_name(rng)
        if self._corpus is not None:
            real = self._corpus.pick(post.subreddit.key, post.kind == "self", rng)
            return Text(post.title or real.title, real.body, author, real.url, real.domain, real.flair)
        words = _words_of(post.subreddit.name)
        title = post.title or _title(post.subreddit.theme, words, rng)
        domain = rng.choice(DOMAINS)
        flair = rng.choice(FLAIRS) if rng.random() < FLAIR_SHARE else None
        body = _body(words, rng) if post.kind == "self" else ""
        return Text(title, body, author, f"https://{domain}/{post.text_seed:x}", domain, flair)


def expand(pattern: str, words: Mapping[str, tuple[str, ...]], rng: Random) -> str:
    """The pattern with every {name} replaced by one of its words, also within words. The first letter is a capital."""
    text = pattern
    while "{" in text:
        text = _NAME.sub(lambda match: rng.choice(words[match[1]]), text)
    return text[:1].upper() + text[1:]


def author_name(rng: Random) -> str:
    """A user name."""
    return f"{rng.choice(_FIRST)}_{rng.choice(_SECOND)}{rng.randrange(10_000)}"


def comment_text(subreddit: str, rng: Random) -> str:
    """One to three sentences."""
    words = _words_of(subreddit)
    return " ".join(expand(rng.choice(COMMENTS), words, rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def _title(theme: str, words: Mapping[str, tuple[str, ...]], rng: Random) -> str:
    patterns = GENERAL_TITLES if rng.random() < GENERAL_SHARE else THEMES[theme].titles
    return expand(rng.choice(patterns), words, rng)[:MAX_TITLE]


def _body(words: Mapping[str, tuple[str, ...]], rng: Random) -> str:
    """A mean of about 1.2 kB, as measured on real text posts; one post in six has none."""
    if rng.random() < 1 / 6:
        return ""
    count = 1 + min(int(rng.lognormvariate(2.7, 0.75)), 200)
    sentences = [expand(rng.choice(SENTENCES), words, rng) for _ in range(count)]
    paragraphs = range(0, count, SENTENCES_PER_PARAGRAPH)
    return "\n\n".join(" ".join(sentences[at : at + SENTENCES_PER_PARAGRAPH]) for at in paragraphs)


@lru_cache(maxsize=512)
def _words_of(subreddit: str) -> Mapping[str, tuple[str, ...]]:
    return COMMON | {"term": terms_of(subreddit)}
