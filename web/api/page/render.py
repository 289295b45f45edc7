"""HTML of the page. Everything that comes from outside goes through `escape`; titles are written by strangers."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template

from signalflow.storage.feed import FeedPost

_PAGE = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
_MOST_KEYWORDS = 3


def render_page(content: str) -> str:
    """The whole page around lists that are HTML already."""
    return _PAGE.substitute(content=content)


def render_error() -> str:
    """What stands in place of the lists while the database is away."""
    return (
        '<section class="notice" role="alert"><h2>The database cannot be reached</h2>'
        "<p>Nothing is lost: new posts wait in Kafka. This page tries again every few seconds; "
        "<code>signalflow status</code> shows which part is missing.</p></section>"
    )


def render_lists(rising: Sequence[FeedPost], newest: Sequence[FeedPost], now: datetime, link_base: str) -> str:
    """Both lists; posts link to `link_base` + permalink, or not at all when that is empty."""
    if not newest:
        return (
            '<section class="notice"><h2>No posts yet</h2><p>The first ones arrive some seconds after a worker has started to poll; '
            "<code>signalflow status</code> shows whether one does.</p></section>"
        )
    return _list("Taking off", "Nothing gains score at the moment.", rising, now, link_base) + _list(
        "Newest", "", newest, now, link_base
    )


def _list(heading: str, when_empty: str, posts: Sequence[FeedPost], now: datetime, link_base: str) -> str:
    name = heading.lower().replace(" ", "-")
    body = "".join(_post(post, now, link_base) for post in posts)
    content = f"<ol>{body}</ol>" if posts else f'<p class="empty">{when_empty}</p>'
    return f'<section class="{name}" aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>{content}</section>'


def _post(post: FeedPost, now: datetime, link_base: str) -> str:
    title = escape(post.title)
    # Only a path of Reddit's becomes a link: a stored text must not choose where a reader goes.
    if link_base and post.permalink and post.permalink.startswith("/r/"):
        title = f'<a href="{escape(link_base + post.permalink)}" rel="noopener noreferrer">{title}</a>'
    tags = "".join(f'<li class="keyword">{escape(keyword)}</li>' for keyword in (post.keywords or [])[:_MOST_KEYWORDS])
    trending = '<span class="trending">trending</span>' if post.is_trending else ""
    return (
        f'<li class="post"><p class="title">{title}</p><p class="facts"><span class="subreddit">r/{escape(post.subreddit)}</span>'
        f"<span>{_count(post.current_score, 'point')}</span>{_velocity(post.score_velocity)}"
        f"<span>{_count(post.current_comments, 'comment')}</span>{_sentiment(post.sentiment_label)}{_age(post.created_utc, now)}{trending}"
        f"</p>{f'<ul>{tags}</ul>' if tags else ''}</li>"
    )


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _velocity(per_second: float | None) -> str:
    if not per_second:
        return ""
    direction = "up" if per_second > 0 else "down"
    return f'<span class="{direction}" title="score per minute">{per_second * 60:+,.1f}/min</span>'


def _sentiment(label: str | None) -> str:
    return f'<span class="{label}">{label}</span>' if label in ("positive", "negative") else ""


def _age(moment: datetime, now: datetime) -> str:
    seconds = max(int((now - moment).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            text = f"{seconds // size} {unit} ago"
            break
    else:
        text = f"{seconds} s ago"
    return f'<time datetime="{moment.isoformat()}" title="{moment:%Y-%m-%d %H:%M:%S} UTC">{text}</time>'
