"""Tells what an item of a file is, a post or a comment, and reads it."""

from datetime import datetime

from signalflow.errors import Invalid
from signalflow.events import Post
from signalflow.reddit.file_comments import file_comment, is_comment
from signalflow.reddit.file_posts import file_post
from signalflow.reddit.protocol import FoundComment

Found = Post | FoundComment

_OTHER_KINDS = {
    "t1": "a comment without data",
    "t2": "an account",
    "t3": "a post without data",
    "t4": "a message",
    "t5": "a subreddit",
    "more": "a list of further comments",
}


def record_of(item: object, observed_at: datetime) -> Found:
    """The post or comment in an item, as seen at `observed_at`. Raises Invalid, which names the field if it can."""
    if not isinstance(item, dict):
        raise Invalid("not a JSON object")
    if "data" in item and "title" not in item and "body" not in item:
        kind = str(item.get("kind"))
        named = _OTHER_KINDS.get(kind, "something else")
        raise Invalid(f"{named}, neither a post nor a comment (kind {kind[:20]!r})", "kind")
    if is_comment(item):
        return file_comment(item, observed_at)
    if "title" not in item and "error" in item:
        raise Invalid("an error of Reddit, neither a post nor a comment", field="error")
    return file_post(item, observed_at)
