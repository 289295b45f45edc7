"""Wire models: what travels in Kafka. They validate at the edge and are trusted inside.

All times are timezone-aware UTC datetimes; velocities are per second; scores fit PostgreSQL's integer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from signalflow.domain.permalinks import without_title
from signalflow.domain.subreddits import NAME_PATTERN
from signalflow.domain.words import (
    ObservationMode,
    SentimentBasis,
    SentimentLabel,
    Stage,
)
from signalflow.errors import Invalid

# Reddit's ids are base 36 and grow; 13 digits hold any 64-bit number.
PostId = Annotated[str, Meta(pattern=r"\A[0-9a-z]{1,13}\Z")]
CommentId = PostId
# What a comment answers: another comment (t1) or the post (t3).
ParentName = Annotated[str, Meta(pattern=r"\At[13]_[0-9a-z]{1,13}\Z")]
SubredditName = Annotated[str, Meta(pattern=NAME_PATTERN)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# A place in a listing; 1 is the top.
Place = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Time = Annotated[datetime, Meta(tz=True)]
# Reddit allows 300 characters of title and 40,000 of text; twice that leaves room for entities.
Title = Annotated[str, Meta(max_length=600)]
Body = Annotated[str, Meta(max_length=80_000)]
Short = Annotated[str, Meta(max_length=4_096)]
# Real posts have links of more than 4,594 characters.
Url = Annotated[str, Meta(max_length=40_000)]


class Post(Struct, kw_only=True, frozen=True):
    """A submission as seen at one moment.

    `body` is UNSET in a refresh that carries no text (the stored text stays). `score` is None where a file does not
    tell it. A feed tells neither `score` nor `num_comments` nor `over_18`, and not always `is_self`; they are None
    then. Reddit's API tells them all. Velocities and history need both numbers. `removed_by` says who took the post
    away, and is None while it stands; `request` says that somebody asked to erase it here, for good. A post that was
    taken away has no text (see `without_text`).
    """

    id: PostId
    subreddit: SubredditName
    author: Short | None
    title: Title
    created_utc: Time
    score: Int32 | None
    num_comments: Count | None
    upvote_ratio: Ratio | None = None
    url: Url | None = None
    permalink: Short | None = None
    flair: Short | None = None
    over_18: bool | None = False
    is_self: bool | None = False
    edited_at: Time | None = None
    removed_by: Short | None = None
    body: Body | None | UnsetType = UNSET


RecordT = TypeVar("RecordT")
ObservationT = TypeVar("ObservationT", "Post", "Enriched")


def without_text(post: ObservationT) -> ObservationT:
    """The post without anything that its author wrote, and without the author. Its title is empty.

    The permalink goes as well, because it repeats the title.
    """
    return replace(post, title="", author=None, url=None, permalink=None, flair=None, body=None)


class Comment(Struct, kw_only=True, frozen=True):
    """A comment as seen at one moment.

    `parent_id` is a fullname. A listing does not tell `depth`, and a feed tells only ids, author, body, time and
    permalink: what is not told is None. `score` is also None while Reddit hides it. `body` is None for a text that
    cannot be read, and for a comment that was taken away, which has no author either (see `without_words`).
    `removed_by` is as in Post.
    """

    id: CommentId
    post_id: PostId
    author: Short | None
    body: Body | None
    created_utc: Time
    score: Int32 | None
    parent_id: ParentName | None = None
    depth: Count | None = None
    controversiality: Count | None = None
    permalink: Short | None = None
    is_submitter: bool | None = None
    distinguished: Short | None = None
    stickied: bool | None = None
    edited_at: Time | None = None
    removed_by: Short | None = None


def without_words(comment: Comment) -> Comment:
    """The comment without its text and its author."""
    return replace(comment, author=None, body=None)


class Metadata(Struct, kw_only=True, frozen=True):
    """Where and when an observation was made. `observed_at` is the moment the answer arrived.

    `post_sort` names the listing. In a listing by rank the post had the place `rank`, in that of the subreddit
    `listing`, which is in lower case; both are None for other observations.
    """

    subreddit: SubredditName
    observed_at: Time
    post_sort: Short = "new"
    poll_id: Short = ""
    listing: SubredditName | None = None
    rank: Place | None = None


class Envelope(Struct, kw_only=True, frozen=True):
    """One observation of a post, as published to reddit.posts.raw with the post's id as key."""

    entity_type: Literal["reddit_submission"]
    source: Short
    mode: ObservationMode
    emitted_at: Time
    payload: Post
    metadata: Metadata
    schema_version: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The key of its record."""
        return self.payload.id.encode()

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of this envelope."""
        return _headers(self, self.payload.subreddit)


class CommentEnvelope(Struct, kw_only=True, frozen=True):
    """One observation of a comment, as published to reddit.comments.raw with the id of its post as key.

    The comment's subreddit is in the metadata.
    """

    entity_type: Literal["reddit_comment"]
    source: Short
    mode: ObservationMode
    emitted_at: Time
    payload: Comment
    metadata: Metadata
    schema_version: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The key of its record: what concerns one post is in one partition."""
        return self.payload.post_id.encode()

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of this envelope."""
        return _headers(self, self.metadata.subreddit)


def _headers(envelope: Envelope | CommentEnvelope, subreddit: str) -> list[tuple[str, bytes]]:
    """The subreddit is in lower case: Reddit ignores the case of a name."""
    return [
        ("entity_type", envelope.entity_type.encode()),
        ("mode", envelope.mode.encode()),
        ("schema_version", str(envelope.schema_version).encode()),
        ("subreddit", subreddit.lower().encode()),
    ]


EnvelopeT = TypeVar("EnvelopeT", Envelope, CommentEnvelope)


class TextFeatures(Struct, kw_only=True, frozen=True):
    """What the title says: sentiment in -1..1, its label, and keywords best first.

    Score and label are None for a title that is not English, which `sentiment_basis` says, and for a post that was
    taken away. The topic cluster is null: it is found once the post is stored, and table and API have it.
    """

    sentiment_score: float | None
    sentiment_label: SentimentLabel | None
    keywords: list[str]
    topic_cluster: str | None = None
    sentiment_basis: SentimentBasis = "as_written"


class Rank(Struct, kw_only=True, frozen=True):
    """The place that a post had in a listing by rank, as in Metadata."""

    post_sort: Short
    listing: Short
    rank: Place


class Source(Struct, kw_only=True, frozen=True):
    """The raw record that an enriched record was made from."""

    topic: str
    partition: int
    offset: int


class Enriched(Struct, kw_only=True, frozen=True):
    """An enriched observation, with the names that the API uses. Velocities are per second, None when unknown.

    What the observation's source does not tell is None (see Post).
    """

    id: PostId
    subreddit: str
    author: str | None
    title: str
    url: str | None
    permalink: str | None
    flair: str | None
    over_18: bool | None
    created_utc: Time
    first_seen_at: Time
    observed_at: Time
    emitted_at: Time
    current_score: Int32 | None
    current_comments: Count | None
    current_ratio: float | None
    score_velocity: float | None
    comment_velocity: float | None
    trending_score: float
    is_trending: bool
    nlp: TextFeatures
    removed_by: str | None
    late: bool
    mode: ObservationMode
    source: Source
    is_self: bool | None = False
    edited_at: Time | None = None
    body: str | None | UnsetType = UNSET
    trend_velocity: float | None = None
    rank: Rank | None = None


class TextSentiment(Struct, kw_only=True, frozen=True):
    """The sentiment of a text in -1..1 and its label; both are None for a text that is not English, as `basis` says."""

    score: float | None
    label: SentimentLabel | None
    basis: SentimentBasis


@dataclass(frozen=True, slots=True)
class EnrichedComment:
    """An observation of a comment with the sentiment of its body, which is None for a comment without a body."""

    comment: Comment
    subreddit: str
    observed_at: datetime
    emitted_at: datetime
    sentiment: TextSentiment | None
    mode: ObservationMode

    @property
    def id(self) -> str:
        """The comment's id."""
        return self.comment.id


_envelope_decoder = msgspec.json.Decoder(Envelope)
_comment_decoder = msgspec.json.Decoder(CommentEnvelope)
_enriched_decoder = msgspec.json.Decoder(Enriched)
_encoder = msgspec.json.Encoder()
encode = _encoder.encode


def storable(text: str) -> str:
    """The text with what neither PostgreSQL nor UTF-8 can hold (NUL, lone surrogates) replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def decode_envelope(value: bytes) -> Envelope:
    """Decode and validate a raw record, its text made storable. Raises Invalid with the path of the field at fault."""
    return _decoded(value, _envelope_decoder, Envelope)


def decode_comment(value: bytes) -> CommentEnvelope:
    """Decode and validate a record of reddit.comments.raw, as `decode_envelope` does with one of reddit.posts.raw.

    Other programs, and earlier versions, write permalinks with words of the post's title, and author and text of
    comments that were taken away; these are left out.
    """
    envelope = _decoded(value, _comment_decoder, CommentEnvelope)
    told = comment = envelope.payload
    if comment.permalink and (kept := without_title(comment.permalink)) != comment.permalink:
        comment = replace(comment, permalink=kept)
    if comment.removed_by and (comment.author is not None or comment.body is not None):
        comment = without_words(comment)
    return envelope if comment is told else replace(envelope, payload=comment)


def _decoded(value: bytes, decoder: msgspec.json.Decoder[EnvelopeT], kind: type[EnvelopeT]) -> EnvelopeT:
    try:
        envelope = decoder.decode(value)
        if b"\\u0000" in value:
            # JSON can write NUL only in this way. Such records are rare, and only they pay for the conversion.
            envelope = msgspec.convert(_all_storable(msgspec.to_builtins(envelope)), kind)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(str(error)) from error
    return envelope


def _all_storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    return {key: _all_storable(item) for key, item in value.items()} if isinstance(value, dict) else value


def decode_enriched(value: bytes) -> Enriched:
    """Decode a record of reddit.posts.enriched. Raises Invalid."""
    return decoded_by(_enriched_decoder, value)


def decoded_by(decoder: msgspec.json.Decoder[RecordT], value: bytes) -> RecordT:
    """The record that the decoder makes of the value. Raises Invalid with the path of the field at fault."""
    try:
        return decoder.decode(value)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(str(error)) from error


@dataclass(frozen=True)
class DeadLetter:
    """A record that cannot be processed: its original bytes and headers, where it came from, and why it failed."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    stage: Stage
    error_type: str
    error: str
    worker: str
    failed_at: datetime
    topic_id: UUID
    attempt: int = 1

    def dlq_headers(self) -> list[tuple[str, bytes]]:
        """Where the record came from and why it failed, as headers with the prefix `dlq_`."""
        ours = {
            "topic": self.topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
            "stage": self.stage,
            "error_type": self.error_type,
            "error": self.error[:2000],
            "attempt": str(self.attempt),
            "worker": self.worker,
            "failed_at": self.failed_at.astimezone(UTC).isoformat(),
            "topic_id": str(self.topic_id),
        }
        return [(f"dlq_{name}", text.encode("utf-8", "replace")) for name, text in ours.items()]
