"""Real texts instead of generated ones, from an NDJSON file of posts, plain or gzipped."""

import gzip
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from random import Random

import orjson

from signalflow.errors import Invalid

# Enough variety, and a bound for the memory of a corpus of millions of posts.
MAX_PER_SUBREDDIT = 1_000
MAX_BODY = 40_000


@dataclass(frozen=True, slots=True)
class CorpusPost:
    """The texts of one post of a corpus."""

    title: str
    body: str
    url: str
    domain: str
    flair: str | None


class Corpus:
    """Texts by subreddit and kind. Lines that are no posts are skipped.

    Raises Invalid when the file holds no posts or cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._posts: dict[tuple[str, bool], list[CorpusPost]] = {}
        try:
            with gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb") as file:
                for raw in file:
                    self._add(raw)
        except (OSError, EOFError) as error:
            raise Invalid(f"the corpus {path} cannot be read: {error}", field="corpus") from error
        everything: dict[bool, list[CorpusPost]] = {True: [], False: []}
        for (_, is_self), posts in self._posts.items():
            everything[is_self].extend(posts)
        if not any(everything.values()):
            raise Invalid(f"{path} holds no posts: each line needs a title and a subreddit", field="corpus")
        self._everything = everything

    def pick(self, subreddit: str, is_self: bool, rng: Random) -> CorpusPost:
        """A text for a subreddit (in lower case): of its own and of this kind if there is one, else the nearest."""
        for posts in (
            self._posts.get((subreddit, is_self)),
            self._posts.get((subreddit, not is_self)),
            self._everything[is_self],
            self._everything[not is_self],
        ):
            if posts:
                return rng.choice(posts)
        raise AssertionError("a corpus is never empty")

    def _add(self, raw: bytes) -> None:
        try:
            post = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return
        if not isinstance(post, dict) or not post.get("title") or not post.get("subreddit"):
            return
        posts = self._posts.setdefault((str(post["subreddit"]).lower(), bool(post.get("is_self"))), [])
        if len(posts) < MAX_PER_SUBREDDIT:
            posts.append(
                CorpusPost(
                    title=unescape(str(post["title"]))[:300],
                    body=unescape(str(post.get("selftext") or ""))[:MAX_BODY],
                    url=str(post.get("url") or "https://corpus.example/"),
                    domain=str(post.get("domain") or "corpus.example"),
                    flair=post.get("link_flair_text") or None,
                )
            )
