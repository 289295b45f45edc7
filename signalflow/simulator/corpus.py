"""Real texts instead of the grammar's: an NDJSON file of posts, plain or gzipped."""

import gzip
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from random import Random

import orjson

from signalflow.errors import Invalid

# Enough variety; it bounds the memory of a corpus of millions.
MAX_PER_SUBREDDIT = 1_000
MAX_BODY = 40_000


@dataclass(frozen=True, slots=True)
class Line:
    """The texts of one post of a corpus."""

    title: str
    body: str
    url: str
    domain: str
    flair: str | None


class Corpus:
    """Texts by subreddit and kind. Lines that are no posts are passed over; raises Invalid when none is left or the file cannot be read."""

    def __init__(self, path: str) -> None:
        self._lines: dict[tuple[str, bool], list[Line]] = {}
        try:
            with gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb") as file:
                for raw in file:
                    self._add(raw)
        except (OSError, EOFError) as error:
            raise Invalid(f"the corpus {path} cannot be read: {error}", field="corpus") from error
        everything: dict[bool, list[Line]] = {True: [], False: []}
        for (_, is_self), lines in self._lines.items():
            everything[is_self].extend(lines)
        if not any(everything.values()):
            raise Invalid(f"{path} holds no posts: a title and a subreddit are needed in a line", field="corpus")
        self._everything = everything

    def pick(self, subreddit: str, is_self: bool, rng: Random) -> Line:
        """A text of a subreddit (in lower case), of the same kind where there is one, else of any subreddit or kind."""
        for lines in (
            self._lines.get((subreddit, is_self)),
            self._lines.get((subreddit, not is_self)),
            self._everything[is_self],
            self._everything[not is_self],
        ):
            if lines:
                return rng.choice(lines)
        raise AssertionError("a corpus is never empty")

    def _add(self, raw: bytes) -> None:
        try:
            post = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return
        if not isinstance(post, dict) or not post.get("title") or not post.get("subreddit"):
            return
        lines = self._lines.setdefault((str(post["subreddit"]).lower(), bool(post.get("is_self"))), [])
        if len(lines) < MAX_PER_SUBREDDIT:
            lines.append(
                Line(
                    title=unescape(str(post["title"]))[:300],
                    body=unescape(str(post.get("selftext") or ""))[:MAX_BODY],
                    url=str(post.get("url") or "https://corpus.example/"),
                    domain=str(post.get("domain") or "corpus.example"),
                    flair=post.get("link_flair_text") or None,
                )
            )
