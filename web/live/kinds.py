"""The kinds of the live stream: posts, and comments and signals for clients that ask for them.

Each kind has a topic and a hub.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from signalflow.kafka.topics import TopicNames
from signalflow.metrics import LIVE_COMMENTS, LIVE_POSTS, LIVE_SIGNALS, LiveMeters
from signalflow.settings import Settings
from web.live.comments import COMMENT_FILTERS, CommentMatcher, comment_record
from web.live.matching import Matcher
from web.live.protocol import POST_FILTERS, FilterForm
from web.live.records import LiveRecord, live_record
from web.live.signals import SIGNAL_FILTERS, SignalMatcher, signal_record


class Matches(Protocol):
    """A filter prepared for matching. Filters with equal `key` match the same records: their clients share frames."""

    @property
    def key(self) -> Hashable: ...
    def __call__(self, record: Any, /) -> bool: ...


@dataclass(frozen=True)
class Kind:
    """A kind. `name` is the type of its frames, and the field of them that has the records.

    `record` makes a record of what a topic holds; None for one that no client gets. It raises Invalid.
    """

    name: Literal["posts", "comments", "signals"]
    topic: Callable[[Settings], str]
    record: Callable[[int, int, bytes], LiveRecord | None]
    matcher: Callable[[Any], Matches]
    filters: FilterForm
    meters: LiveMeters


POSTS = Kind(
    "posts",
    lambda settings: TopicNames.of(settings).posts_enriched,
    live_record,
    Matcher,
    POST_FILTERS,
    LIVE_POSTS,
)
COMMENTS = Kind(
    "comments",
    lambda settings: TopicNames.of(settings).comments_raw,
    comment_record,
    CommentMatcher,
    COMMENT_FILTERS,
    LIVE_COMMENTS,
)
SIGNALS = Kind(
    "signals",
    lambda settings: TopicNames.of(settings).signals,
    signal_record,
    SignalMatcher,
    SIGNAL_FILTERS,
    LIVE_SIGNALS,
)
