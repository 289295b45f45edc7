"""Reads posts from the items of files: archives, exports, data frames, and saved answers of Reddit's API."""

from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from signalflow.events import Int32, Post
from signalflow.reddit.file_fields import (
    author_of,
    edited_of,
    flag_of,
    id_of,
    named_text,
    number_of,
    optional_text,
    permalink_of,
    ratio_of,
    seconds_of,
    subreddit_of,
    text_of,
)
from signalflow.reddit.file_items import Item
from signalflow.reddit.shapes import RawPost, post_of


class FilePost(RawPost, kw_only=True):
    """A post of a file. Archives that were written as posts appeared do not know the score."""

    score: Int32 | None = None  # type: ignore[assignment]


def file_post(item: Item, observed_at: datetime) -> Post:
    """The post in an item, as seen at `observed_at`. Raises Invalid, which names the field at fault if there is one."""
    fields = _as_reddit_sends_it(item)
    post = post_of(fields, observed_at, FilePost)
    # A file without texts must not replace the stored one.
    return post if "selftext" in fields else replace(post, body=UNSET)


def _as_reddit_sends_it(item: Item) -> dict[str, object]:
    """The fields of a post with the types that Reddit's API gives them. What is missing or null is left out."""
    fields: dict[str, object] = {
        "id": id_of(item, "t3"),
        "subreddit": subreddit_of(item),
        "title": text_of(item.get("title")),
        "created_utc": seconds_of(item.get("created_utc"), "created_utc"),
        "score": number_of(item.get("score"), "score"),
        "num_comments": number_of(item.get("num_comments"), "num_comments"),
        "over_18": flag_of(item.get("over_18"), "over_18"),
        "is_self": flag_of(item.get("is_self"), "is_self"),
        "author": author_of(item.get("author")),
        "upvote_ratio": ratio_of(item.get("upvote_ratio")),
        "url": named_text(item.get("url"), 40_000),
        "permalink": permalink_of(item.get("permalink")),
        "link_flair_text": optional_text(item.get("link_flair_text")),
        "edited": edited_of(item.get("edited")),
        "removed_by_category": named_text(item.get("removed_by_category")),
        "selftext": text_of(item.get("selftext")),
    }
    return {name: value for name, value in fields.items() if value is not None}
