"""What an alert says, and the JSON that webhooks get.

Titles and sentences hold words of strangers on Reddit. The JSON carries them as they are; bodies for people are made of
`plain` text and escaped for the markup of their place.
"""

import re
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote

from msgspec import Meta, Struct

from signalflow.alerts.signing import MESSAGE_ID
from signalflow.errors import Invalid
from signalflow.events import Short, SubredditName, Time, Title, encode

REDDIT = "https://www.reddit.com"
# Nothing that ends a link in the markup of Slack, in HTML or in a line of text.
_URL = r"https://www\.reddit\.com/[A-Za-z0-9/%?=&._~-]*"
# Control characters, halves of surrogates, and what changes the direction of the text behind it.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")

AlertId = Annotated[str, Meta(pattern=rf"\A{MESSAGE_ID}\Z")]
RedditUrl = Annotated[str, Meta(pattern=rf"\A{_URL}\Z")]


class Alert(Struct, kw_only=True, frozen=True):
    """Something on Reddit that a rule asked for. None is unknown, never 0.

    `subject`: the id of the post or comment, or the name of the signal. `sentence`: why it matched, for people.
    `numbers`: what the rule looked at, by name. `created_at`: of the post or comment. Raises Invalid for an id or a URL
    of another form.
    """

    id: AlertId
    rule: Short
    kind: Literal["post", "comment", "signal"]
    subject: Short
    subreddit: SubredditName | None
    title: Title | None
    sentence: Short
    url: RedditUrl | None
    numbers: dict[Short, int | float | None]
    created_at: Time | None
    matched_at: Time

    def __post_init__(self) -> None:
        if not re.fullmatch(MESSAGE_ID, self.id):
            raise Invalid("the id of an alert has 1 to 64 letters, digits, _ or -", field="id")
        if self.url is not None and not re.fullmatch(_URL, self.url):
            raise Invalid("the URL of an alert is none of Reddit's: make it with reddit_url", field="url")


class AlertMessage(Struct, kw_only=True, frozen=True, tag_field="type", tag="alert"):
    """The body of a webhook. It is the same in every try: `timestamp` is when the rule matched."""

    schema_version: Literal[1] = 1
    timestamp: Time
    data: Alert


def json_body(alert: Alert) -> bytes:
    """The alert for programs (docs/schemas/alert.v1.json)."""
    return encode(AlertMessage(timestamp=alert.matched_at, data=alert))


def reddit_url(permalink: str | None) -> str | None:
    """The address of a permalink (/r/...) for a browser; None if there is none."""
    if permalink is None or not permalink.startswith("/"):
        return None
    return REDDIT + quote(permalink, safe="/%?=&")


def plain(text: str) -> str:
    """One line without characters that cannot be seen."""
    return " ".join(_HIDDEN.sub(" ", text).split())


def headline(alert: Alert) -> str:
    """The title of what matched, or the name of the rule."""
    return plain(alert.title or "") or plain(alert.rule) or alert.id


def number_text(value: int | float | None) -> str:
    """A number for people, with at most two decimals."""
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def time_text(time: datetime) -> str:
    """A time for people, to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def facts(alert: Alert) -> str:
    """The numbers and the subreddit in one line."""
    parts = [f"{plain(name)} {number_text(value)}" for name, value in alert.numbers.items()]
    return ", ".join(([f"r/{alert.subreddit}"] if alert.subreddit else []) + parts)
