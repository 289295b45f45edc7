"""The messages of the live stream: frames to a client, and filters from it.

The JSON is the same on the socket and in server-sent events. The fields of a post have the names of the REST API. Times
are ISO 8601 in UTC. Velocities are per second. What is unknown is null; feeds of Reddit tell no numbers. The `id` of a
frame is the resume token: sent back as `?since=` or Last-Event-ID, it brings what came after that frame.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from signalflow.domain.queries.asked import asked
from signalflow.domain.queries.language import LONGEST_QUERY, QueryError
from signalflow.errors import Invalid
from signalflow.events import Enriched, Int32, PostId, TextFeatures, Time
from web.faults import MOST_SHOWN

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
    over_18: bool | None
    is_self: bool | None
    created_utc: Time
    first_seen_at: Time
    observed_at: Annotated[Time, Meta(description="When Reddit gave these numbers; of one post it never goes back.")]
    edited_at: Time | None
    removed_by: str | None
    current_score: int | None
    current_comments: int | None
    current_ratio: float | None
    score_velocity: float | None
    comment_velocity: float | None
    trend_velocity: float | None
    trending_score: float
    is_trending: bool
    nlp: TextFeatures

    @classmethod
    def of(cls, enriched: Enriched) -> "LivePost":
        """The observation as clients get it."""
        return cls(**{name: getattr(enriched, name) for name in cls.__struct_fields__})


class Posts(Struct, kw_only=True, frozen=True, tag_field="type", tag="posts"):
    """Observations that match the filter, and posts that were taken away, each post at most once.

    At most one such frame per `live_frame_ms`.
    """

    id: Token
    posts: list[LivePost]
    retract: Annotated[
        list[PostId],
        Meta(
            description="Posts that were taken away: show no title, text, link or author of them any more. They come "
            "to every client whose filter has their subreddit, id and time, also if it never got them. A post that is "
            "restored comes again in `posts`."
        ),
    ] = []


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
_NO_NUL = r"\A[^\x00]*\Z"
Author = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_NUL)]
Search = Annotated[str, Meta(min_length=1, max_length=LONGEST_QUERY, pattern=_NO_NUL)]
Keyword = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\A(?=.*\S)[^\x00]*\Z")]
Sentiment = Annotated[float, Meta(ge=-1, le=1)]


class Filter(Struct, kw_only=True, frozen=True, tag_field="type", tag="filter", forbid_unknown_fields=True):
    """What a client wants: all conditions must hold; an empty list and null are no condition.

    The REST API has the same names. The filter replaces the whole earlier one.
    """

    subreddit: Annotated[list[Name], Meta(max_length=500, description="Any of these, without `r/`, in any case.")] = []
    author: Annotated[Author | None, Meta(description="By this author, in any case.")] = None
    q: Annotated[
        Search | None,
        Meta(
            description="With a title that has these words, or words that begin with them: `rocket launch`, "
            '`"exact phrase"`, `mars or moon`, `-not`. A word of one or two characters must be a whole word. And the '
            "language of alert rules, as in the REST API: `score>100`, `subreddit:python`. No post has a signal here."
        ),
    ] = None
    keyword: Annotated[
        list[Keyword],
        Meta(max_length=50, description="Any of these words or phrases, in the title or in the keywords, in any case."),
    ] = []
    min_score: Annotated[Int32 | None, Meta(description="With at least this score.")] = None
    trending: Annotated[bool | None, Meta(description="Only trending posts, or only others.")] = None
    over_18: Annotated[bool | None, Meta(description="Only posts for adults, or only others.")] = None
    shown: Annotated[
        bool | None, Meta(description="Only posts that Reddit still shows, which are all that come in live, or none.")
    ] = None
    min_sentiment: Annotated[Sentiment | None, Meta(description="With at least this sentiment score.")] = None
    max_sentiment: Annotated[Sentiment | None, Meta(description="With at most this sentiment score.")] = None
    created_from: Annotated[Time | None, Meta(description="Created then or later.")] = None
    created_to: Annotated[Time | None, Meta(description="Created before.")] = None
    id: Annotated[list[PostId], Meta(max_length=500, description="Any of these posts.")] = []


# Clients of earlier versions send the names on the left. These three are lists.
FORMER_NAMES = {"subreddits": "subreddit", "keywords": "keyword", "ids": "id"}
_TIME = "must be a time with a time zone, such as 2026-01-31T12:00:00Z"
_SWITCH = "must be true or false"
_SENTIMENT = "must be a number from -1 to 1"
DEMANDS = {
    "subreddit": "must be at most 500 names of subreddits, without r/",
    "author": "must be a name of 1 to 64 characters, none of them NUL",
    "q": f"must be a search of 1 to {LONGEST_QUERY} characters, none of them NUL",
    "keyword": "must be at most 50 words or phrases of 1 to 100 characters, not only blanks, none of them NUL",
    "min_score": "must be a whole number of at most 31 bits",
    "trending": _SWITCH,
    "over_18": _SWITCH,
    "shown": _SWITCH,
    "min_sentiment": _SENTIMENT,
    "max_sentiment": _SENTIMENT,
    "created_from": _TIME,
    "created_to": _TIME,
    "id": "must be at most 500 ids of posts, without t3_: small letters and digits",
}
encode_frame = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class FilterForm:
    """The filter of one kind of the stream: its type, what each condition must be, and which are lists.

    `former`: names of earlier versions, and what they are called now. `check` raises Invalid for conditions that do not
    go together.
    """

    type: type[Struct]
    demands: Mapping[str, str]
    lists: frozenset[str]
    former: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Any], None] = lambda wanted: None

    def is_list(self, name: str) -> bool:
        """Whether a condition has several values."""
        return self.former.get(name, name) in self.lists


def check_query(wanted: Any) -> None:
    """Raises Invalid for a `q` that is a wrong query."""
    try:
        asked(wanted.q or "")
    except QueryError as error:
        raise Invalid(str(error), "q") from error


def _check_ranges(wanted: Filter) -> None:
    check_query(wanted)
    if wanted.created_from and wanted.created_to and wanted.created_to < wanted.created_from:
        raise Invalid("must not be before created_from", "created_to")
    least, most = wanted.min_sentiment, wanted.max_sentiment
    if least is not None and most is not None and most < least:
        raise Invalid("must not be below min_sentiment", "max_sentiment")


POST_FILTERS = FilterForm(Filter, DEMANDS, frozenset(FORMER_NAMES.values()), FORMER_NAMES, _check_ranges)


def filter_of(fields: Mapping[str, Any], *, are_texts: bool, form: FilterForm = POST_FILTERS) -> Any:
    """The filter with these fields; `are_texts`: as they stand in an address. Raises Invalid, which names the field."""
    for former, name in form.former.items():
        if former in fields and name in fields:
            raise Invalid(f"is the former name of {name}: give one of them", former)
    named = {form.former.get(name, name): value for name, value in fields.items()}
    unknown = sorted(named.keys() - form.demands.keys())
    if unknown:
        raise Invalid(f"is unknown here; a filter has {', '.join(form.demands)}", unknown[0][:MOST_SHOWN])
    for name, value in named.items():
        try:
            msgspec.convert({name: value}, form.type, strict=not are_texts)
        except msgspec.ValidationError as error:
            raise Invalid(form.demands[name], name) from error
    wanted = msgspec.convert(named, form.type, strict=not are_texts)
    form.check(wanted)
    return wanted


def decode_filter(message: str | bytes, form: FilterForm = POST_FILTERS) -> Any:
    """The filter that a client sent. Raises Invalid, which names the field at fault."""
    try:
        fields = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid(str(error), "filter") from error
    if not isinstance(fields, dict) or fields.pop("type", None) != "filter":
        raise Invalid('a message must be an object with the type "filter"', "filter")
    return filter_of(fields, are_texts=False, form=form)
