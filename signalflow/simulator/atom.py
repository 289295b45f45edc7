"""Posts and comments as entries of Reddit's Atom feeds, made from the data that the API sends for them.

A feed tells no score, no number of comments, no flair and no age limit.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

REDDIT = "https://www.reddit.com"
# The share of posts without `published` is not known. One in 50 is enough to show a reader that does not expect them.
UNPUBLISHED_EVERY = 50
# What XML cannot hold, not even escaped. A corpus may have it.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Data = Mapping[str, Any]


def feed_xml(
    title: str, address: str, entries: Iterable[str], updated: float, subreddit: str | None, following: str | None
) -> bytes:
    """A feed. `address` is its path with the query, `following` the path of the next page, if the feed names one.

    Reddit repeats the address with its whole query, so also with the secret of a personal feed.
    """
    category = f"<category{_attributes(term=subreddit, label=f'r/{subreddit}')}/>" if subreddit else ""
    following_link = _link("next", following) if following else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/">'
        f"{category}<updated>{_time(updated)}</updated><icon>https://www.redditstatic.com/icon.png/</icon>"
        f"<id>{_text(address)}</id>{_link('self', address)}{following_link}<title>{_text(title)}</title>"
        f"{''.join(entries)}</feed>"
    ).encode()


def post_entry(data: Data, *, is_combined: bool) -> str:
    """The entry of a post; in a feed of several subreddits its text names the post's one."""
    thumbnail = data["thumbnail"] if data["thumbnail"].startswith("https:") else None
    published = int(data["id"], 36) % UNPUBLISHED_EVERY != 0
    return _entry(
        data,
        title=data["title"],
        content=_post_html(data, thumbnail, is_combined),
        thumbnail=thumbnail,
        published=published,
    )


def comment_entry(data: Data, post_title: str) -> str:
    """The entry of a comment. It is named after its author and its post, and has only `updated`."""
    title = f"/u/{data['author']} on {post_title}"
    content = f"<!-- SC_OFF -->{data['body_html']}<!-- SC_ON -->"
    return _entry(data, title=title, content=content, thumbnail=None, published=False)


def _entry(data: Data, *, title: str, content: str, thumbnail: str | None, published: bool) -> str:
    created = _time(data["created_utc"])
    picture = f"<media:thumbnail{_attributes(url=thumbnail)}/>" if thumbnail else ""
    since = f"<published>{created}</published>" if published else ""
    return (
        f"<entry>{_author(data['author'])}"
        f"<category{_attributes(term=data['subreddit'], label=data['subreddit_name_prefixed'])}/>"
        f'<content type="html">{_text(content)}</content><id>{data["name"]}</id>{picture}'
        f"<link{_attributes(href=REDDIT + data['permalink'])}/><updated>{created}</updated>{since}"
        f"<title>{_text(title)}</title></entry>"
    )


def _author(name: str) -> str:
    """Nothing for a deleted account."""
    if name == "[deleted]":
        return ""
    return f"<author><name>/u/{_text(name)}</name><uri>{REDDIT}/user/{_text(name)}</uri></author>"


def _post_html(data: Data, thumbnail: str | None, is_combined: bool) -> str:
    """The text, if the post has one, then who submitted it and the two links. Pictures stand in a table beside it."""
    name, author, permalink = data["subreddit"], data["author"], REDDIT + data["permalink"]
    to = f" &#32; to &#32; {_anchor(f'{REDDIT}/r/{name}/', f' r/{name} ')}" if is_combined else ""
    by = author if author == "[deleted]" else _anchor(f"{REDDIT}/user/{author}", f" /u/{author} ")
    html = (
        f"{data['selftext_html'] or ''} &#32; submitted by &#32; {by}{to} <br/> "
        f"<span>{_anchor(data['url'], '[link]')}</span> &#32; <span>{_anchor(permalink, '[comments]')}</span>"
    )
    if not (thumbnail and (data.get("post_hint") == "image" or data.get("is_gallery"))):
        return html
    image = f"<img{_attributes(src=thumbnail, alt=data['title'], title=data['title'])} />"
    return f"<table> <tr><td> {_anchor(permalink, f' {image} ')} </td><td> {html} </td></tr></table>"


def _anchor(href: str, inner: str) -> str:
    return f"<a{_attributes(href=href)}>{inner}</a>"


def _link(relation: str, address: str) -> str:
    return f"<link{_attributes(rel=relation, href=REDDIT + address, type='application/atom+xml')} />"


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{_text(value)}"' for name, value in values.items())


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("", text))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
