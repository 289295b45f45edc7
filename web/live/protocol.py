"""The messages of the live stream: frames to a client, and filters from it.

The JSON is the same on the socket and in server-sent events. The fields of a post have the names of the REST API. Times
are ISO 8601 in UTC. Velocities are per second, and null when unknown. The `id` of a frame is the resume token: sent
back as `?since=` or Last-Event-ID, it brings what came after that frame.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from signalflow.errors import Invalid
from signalflow.events import Enriched, Int32, PostId, TextFeatures, Time

Token = Annotated[str, Meta(description="Resume token: give it back as `since` or Last-Event-ID.", max_length=8192)]
# Why a client must reload what it shows: records that it missed are gone, or its token belongs to another topic.
ResetReason = Literal["expired", "other_topic", "ahead", "too_far"]
# Why a connection ends. With `invalid` it goes on: a message of the client was refused.
ErrorCode = Literal["invalid", "flood", "slow", "expired", "restart"]


class LivePost(Struct, kw_only=True, frozen=True):
    """The newest observation of a post."""

    id: PostId
    subreddit: str
    author: str | None
    title: str
    url: str | None
    permalink: str | None
    flair: str | None
    over_18: bool
    is_self: bool
    created_utc: Time
    first_seen_at: Time
    observed_at: Annotated[Time, Meta(description="When Reddit gave these numbers; of one post it never goes back.")]
    edited_at: Time | None
    removed_by: str | None
    current_score: int
    current_comments: int
    current_ratio: float | None
    score_velocity: float | None
    comment_velocity: float | None
    trending_score: float
    is_trending: bool
    nlp: TextFeatures

    @classmethod
    def of(cls, enriched: Enriched) -> "LivePost":
        """The observation as clients get it."""
        return cls(**{name: getattr(enriched, name) for name in cls.__struct_fields__})


class Posts(Struct, kw_only=True, frozen=True, tag_field="type", tag="posts"):
    """Observations that match the filter, at most one per post. At most one such frame per `live_frame_ms`."""

    id: Token
    posts: list[LivePost]


class Heartbeat(Struct, kw_only=True, frozen=True, tag_field="type", tag="heartbeat"):
    """The first frame of every connection, then one per `live_heartbeat_seconds`. Counters cover this connection."""

    id: Token
    sent: Annotated[int, Meta(ge=0, description="Observations sent.")]
    skipped: Annotated[int, Meta(ge=0, description="Observations that the filter left out.")]
    coalesced: Annotated[int, Meta(ge=0, description="Observations that a newer one of the same post replaced.")]
    stale_since: Annotated[
        datetime | None, Meta(description="Since when the server cannot reach Kafka; null while it can.")
    ] = None


class Reset(Struct, kw_only=True, frozen=True, tag_field="type", tag="reset"):
    """Records were missed and cannot be sent any more: load all shown posts again. The stream goes on from `id`."""

    id: Token
    reason: ResetReason


class Error(Struct, kw_only=True, frozen=True, tag_field="type", tag="error"):
    """With `invalid` a message was refused and nothing else changed; with any other code the connection ends now."""

    code: ErrorCode
    message: str


Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_:.-]{1,32}\Z")]
Keyword = Annotated[str, Meta(min_length=1, max_length=100)]


class Filter(Struct, kw_only=True, frozen=True, tag_field="type", tag="filter", forbid_unknown_fields=True):
    """What a client wants: all conditions must hold; an empty list is no condition.

    It replaces the whole earlier filter.
    """

    subreddits: Annotated[list[Name], Meta(max_length=500, description="Any of these, without `r/`, in any case.")] = []
    trending: Annotated[bool, Meta(description="Only what is trending.")] = False
    min_score: Annotated[Int32 | None, Meta(description="Lowest score.")] = None
    keywords: Annotated[
        list[Keyword],
        Meta(max_length=50, description="Any of these words or phrases, in the title or in the keywords, in any case."),
    ] = []
    ids: Annotated[list[PostId], Meta(max_length=500, description="Any of these posts.")] = []


_filter_decoder = msgspec.json.Decoder(Filter)
encode_frame = msgspec.json.Encoder().encode


def decode_filter(message: str | bytes) -> Filter:
    """The filter that a client sent. Raises Invalid with the path of the field at fault."""
    try:
        return _filter_decoder.decode(message)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid(str(error), "filter") from error
