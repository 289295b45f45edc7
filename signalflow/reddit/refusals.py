"""What a refusal of a listing says of the subreddits that it names, whichever client asked for it."""

import json
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from signalflow.errors import Invalid
from signalflow.reddit.answers import Answer
from signalflow.reddit.protocol import SubredditUnavailable

# The names that may be put into the path of a listing. A slash or a question mark would make it another request.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ID = re.compile(r"[0-9a-z]{1,13}")
# The words that fit into the column subreddit_config.state.
_REASON = re.compile(r"[a-z_]{1,32}")


def joined(names: Sequence[str]) -> str:
    """The names as the path of a combined listing has them.

    Raises Invalid without any name, and SubredditUnavailable for one that cannot be a subreddit's.
    """
    if not names:
        raise Invalid("a listing needs a subreddit", field="names")
    for name in names:
        if not _NAME.fullmatch(name):
            raise SubredditUnavailable(f"{name!r} cannot be the name of a subreddit", "unknown")
    return "+".join(names)


def checked_id(post: str) -> str:
    """The id of a post, for a path. Raises SubredditUnavailable for one that no post can have."""
    if not _ID.fullmatch(post):
        raise SubredditUnavailable(f"{post!r} cannot be the id of a post", "not_found")
    return post


def fault_of_a_name(answer: Answer, body: bytes) -> str | None:
    """Why a listing fails because of one of its names; None when the names are not the reason."""
    if answer.status == 302:
        # Reddit redirects a request for an unknown subreddit to its search. Other redirects have other reasons.
        return "unknown" if _path(answer.headers.get("Location", "")).startswith("/subreddits/search") else None
    if answer.status == 414:
        return "too_long"
    if answer.status == 451:
        return "legal"
    # Reddit refuses a subreddit with JSON. A page or a text comes from the network's edge, which blocks the client.
    if answer.status in {403, 404} and (refusal := _json_object(body)) is not None:
        return word(refusal.get("reason")) or {403: "forbidden", 404: "not_found"}[answer.status]
    return None


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def word(text: object) -> str | None:
    """The text if it is one plain word, which is safe to put into our messages; otherwise None."""
    return text if isinstance(text, str) and _REASON.fullmatch(text) else None
