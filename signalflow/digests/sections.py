"""What a digest says, in sections of lines. Text, page and e-mail are made of these."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from signalflow.alerts.messages import plain, reddit_url

_KINDS = {"viral": "takes off", "unusual_here": "unusual here", "burst": "in many titles"}


class Line(NamedTuple):
    """What is told, where it leads (None: nowhere), and what is said beside it."""

    text: str
    url: str | None = None
    note: str = ""


class Section(NamedTuple):
    """Lines below a title; there is at least one."""

    title: str
    lines: tuple[Line, ...]


def title_of(digest: Mapping[str, Any]) -> str:
    """The headline."""
    day = date.fromisoformat(digest["day"])
    return f"Reddit on {day:%A}, {day.day} {day:%B} {day:%Y}"


def summary_of(digest: Mapping[str, Any]) -> str:
    """How much there was, and how much of it is known, in sentences. What is unknown is left out."""
    counts = digest["signals"]
    told = f"{_count(digest['posts'], 'post')} by {_count(digest['authors'], 'author')} (UTC)"
    if digest["posts_before"]:
        told += f", {_change(digest['posts'], digest['posts_before'])} than the day before"
    signals = f"{_count(counts['viral'], 'post')} took off, {counts['unusual_here']:,} times something was unusual"
    if counts["burst"]:
        signals += f", and {_count(counts['burst'], 'term')} suddenly stood in many titles"
    sentences = [told, signals]
    if digest["covered"] is not None:
        # Rounded down: all of it is all of it.
        sentences.append(f"{int(digest['covered'] * 1000) / 10:g} % of the time of the subreddits is covered")
    return ". ".join(sentences) + "."


def sections_of(digest: Mapping[str, Any]) -> list[Section]:
    """The sections that have something to say."""
    sections = [
        Section("What stood out", tuple(_signals(digest))),
        Section("Highest scores", tuple(_posts(digest["most_upvoted"]))),
        Section("Most discussed", tuple(_posts(digest["most_commented"]))),
        Section("Busiest subreddits", tuple(_subreddits(digest["subreddits"]))),
        Section("What titles were about", tuple(_keywords(digest["keywords"]))),
    ]
    return [section for section in sections if section.lines]


def _signals(digest: Mapping[str, Any]) -> Iterator[Line]:
    posts = {post["id"]: post for post in (*digest["most_upvoted"], *digest["most_commented"])}
    for signal in digest["strongest"]:
        post = posts.get(signal["subject"]) if signal["subject_kind"] == "post" else None
        url = None if post is None else reddit_url(post["permalink"])
        yield Line(plain(signal["sentence"]), url, _KINDS[signal["kind"]])


def _posts(posts: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    for post in posts:
        numbers = [
            f"r/{post['subreddit']}",
            *([] if post["current_score"] is None else [_count(post["current_score"], "point")]),
            *([] if post["current_comments"] is None else [_count(post["current_comments"], "comment")]),
        ]
        yield Line(plain(post["title"]) or "(title not kept)", reddit_url(post["permalink"]), ", ".join(numbers))


def _subreddits(subreddits: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    for one in subreddits:
        yield Line(f"r/{one['subreddit']}", None, _beside_before(one))


def _keywords(keywords: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    for one in keywords:
        yield Line(plain(one["keyword"]), None, f"{_beside_before(one)}, {_count(one['subreddits'], 'subreddit')}")


def _beside_before(one: Mapping[str, Any]) -> str:
    return f"{_count(one['posts'], 'post')}, {one['posts_before']:,} the day before"


def _change(number: int, before: int) -> str:
    share = number / before - 1
    return f"{abs(share):.0%} {'fewer' if share < 0 else 'more'}".replace("%", " %")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
