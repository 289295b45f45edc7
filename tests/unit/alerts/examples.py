"""An alert, and alerts that are meant to break what shows them."""

from datetime import UTC, datetime

from msgspec.structs import replace

from signalflow.alerts.messages import Alert

AT = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
_ALERT = Alert(
    id="al_1",
    rule="Rust in the news",
    kind="post",
    subject="1abc2d",
    subreddit="rust",
    title="Rust 3.0 is out",
    sentence="Its velocity of 2.5 a second is above 2.",
    url="https://www.reddit.com/r/rust/comments/1abc2d/rust_30_is_out/",
    numbers={"score": 1204, "velocity": 2.5, "comments": None},
    created_at=AT,
    matched_at=AT,
)


def alert(**fields: object) -> Alert:
    """An alert of a post, with these fields."""
    return replace(_ALERT, **fields)
