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


def fault_of_a_name(answer: Answer, body: bytes) -> str | None:
    """Why a listing fails because of one of its names; None when the names are not the reason."""
    if answer.status == 302:
        # Reddit redirects a request for an unknown subreddit to its search. Other redirects have other reasons.
        path = urlsplit(answer.headers.get("Location", "")).path
        return "unknown" if path.startswith("/subreddits/search") else None
    if answer.status == 414:
        return "too_long"
    if answer.status == 451:
        return "legal"
    # Reddit refuses a subreddit with JSON. A page in HTML comes from the network's edge, which blocks the client.
    if answer.status in {403, 404} and not answer.headers.get("Content-Type", "").startswith("text/html"):
        return _reason(body) or {403: "forbidden", 404: "not_found"}[answer.status]
    return None


def _reason(body: bytes) -> str | None:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    reason = payload.get("reason") if isinstance(payload, dict) else None
    return word(reason) if isinstance(reason, str) else None


def word(text: object) -> str | None:
    """The text if it is one plain word, which is safe to put into our messages; otherwise None."""
    return text if isinstance(text, str) and _REASON.fullmatch(text) else None
