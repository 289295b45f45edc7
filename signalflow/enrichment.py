"""From an observation and what is known of its post to an enriched record. Pure: the same log gives the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from signalflow.domain.features import Features, sentiment_of, text_features
from signalflow.domain.observations import UNKNOWN, Observation, PostState, Step, expired, observe
from signalflow.domain.sorts import POST_SORTS
from signalflow.domain.trending import TrendingRule, trending
from signalflow.errors import Invalid, SignalflowError
from signalflow.events import (
    Enriched,
    EnrichedComment,
    Envelope,
    Metadata,
    Rank,
    Source,
    TextFeatures,
    TextSentiment,
    decode_comment,
    decode_envelope,
    encode,
    without_text,
)
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.lineage import lineage
from signalflow.settings import Settings

log = structlog.get_logger()

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Posts of a wrong clock are stored, but not with a creation time that no clock explains.
CREATED_AHEAD = timedelta(days=1)
# A post's state is used for so much longer than it is kept, by the times at which the brokers appended the records: an
# observation may come late. Later ones do without the state, whether it is still there or not.
LATEST_US = 3_600_000_000
# The longest comment that Reddit takes has so many characters.
MOST_SCORED_CHARACTERS = 10_000


def microseconds(time: datetime) -> int:
    """Microseconds since the epoch, exactly."""
    return (time - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The inverse of microseconds."""
    return EPOCH + timedelta(microseconds=value)


def trending_rule(settings: Settings) -> TrendingRule:
    """The trending rule with the thresholds of the settings."""
    return TrendingRule(
        velocity_high=settings.trending_velocity_high,
        velocity_low=settings.trending_velocity_low,
        sentiment=settings.trending_sentiment,
        comments=settings.trending_comments,
        threshold=settings.trending_threshold,
    )


def validated(record: KafkaRecord, most_ahead: timedelta) -> Envelope:
    """Decode a record of the raw topic. Raises Invalid that names the field: not decodable, wrong key, absurd times.

    An observation that is more than `most_ahead` later than its record is refused: it would make all observations of
    its post late until then. Clocks of well-kept machines differ by seconds. Times are compared with times in the log,
    never with a clock, so that a second reading of the log decides the same.
    """
    check_readable(record)
    if record.value is None:
        raise Invalid("the record has no value", field="value")
    envelope = decode_envelope(record.value)
    metadata = envelope.metadata
    if (metadata.rank is None) != (metadata.listing is None):
        raise Invalid("a rank needs its listing, and a listing its rank", field="metadata.rank")
    if metadata.rank is not None and metadata.post_sort not in POST_SORTS:
        raise Invalid("a rank needs the name of its listing", field="metadata.post_sort")
    _check(record, envelope.payload.id, envelope.payload.created_utc, envelope.metadata.observed_at, most_ahead)
    return envelope


def enriched_comment(record: KafkaRecord, most_ahead: timedelta, fold_apostrophes: bool) -> EnrichedComment:
    """The comment in a record of its raw topic, with the sentiment of its text. Raises Invalid as `validated` does."""
    check_readable(record)
    if record.value is None:
        raise Invalid("the record has no value", field="value")
    envelope = decode_comment(record.value)
    comment, metadata = envelope.payload, envelope.metadata
    _check(record, comment.post_id, comment.created_utc, metadata.observed_at, most_ahead)
    sentiment = None
    if comment.body is not None:
        found = sentiment_of(comment.body[:MOST_SCORED_CHARACTERS], fold_apostrophes)
        sentiment = TextSentiment(score=found.score, label=found.label, basis=found.basis)
    return EnrichedComment(
        comment, metadata.subreddit, metadata.observed_at, envelope.emitted_at, sentiment, envelope.mode
    )


def _check(
    record: KafkaRecord, post_id: str, created_utc: datetime, observed_at: datetime, most_ahead: timedelta
) -> None:
    """Raises Invalid for a wrong key or absurd times, as `validated` has them."""
    if record.key != post_id.encode():
        raise Invalid(f"the key is not the id of the post {post_id}", field="key")
    if microseconds(observed_at) > record.timestamp * 1000 + most_ahead // MICROSECOND:
        raise Invalid(
            f"observed_at {observed_at.isoformat()} is more than {most_ahead} later than the record "
            "(SIGNALFLOW_OBSERVED_AHEAD_MINUTES)",
            field="metadata.observed_at",
        )
    if observed_at < EPOCH or created_utc < EPOCH:
        raise Invalid(
            "a time before 1970", field="metadata.observed_at" if observed_at < EPOCH else "payload.created_utc"
        )
    if created_utc > observed_at + CREATED_AHEAD:
        raise Invalid("created_utc is more than a day later than observed_at", field="payload.created_utc")


def _is_discovery(enriched: Enriched, state: PostState | None) -> bool:
    """Whether this is a post's first observation, also when the record is delivered again.

    Without a state, as for posts of feeds and files, the poller's word counts.
    """
    if state is None:
        return enriched.mode in {"new", "backfill"}
    return not enriched.late and enriched.first_seen_at == enriched.observed_at


# What is said of a post that was taken away: nothing. A title without words would count as neutral.
UNTOLD = TextFeatures(sentiment_score=None, sentiment_label=None, keywords=[])


def _told(features: Features) -> TextFeatures:
    return TextFeatures(
        sentiment_score=features.sentiment_score,
        sentiment_label=features.sentiment_label,
        sentiment_basis=features.sentiment_basis,
        keywords=features.keywords,
    )


def _rank(metadata: Metadata) -> Rank | None:
    if metadata.rank is None or metadata.listing is None:
        return None
    return Rank(post_sort=metadata.post_sort, listing=metadata.listing, rank=metadata.rank)


class Defect(Invalid):
    """A defect of this code that one record reveals. The record becomes a dead letter, so that others can go on."""


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What becomes of a record of the raw topic: the output, and its post's new state; None when it does not change.

    `key` is the post's key in the table. `reached_us`: how far the record takes the watermark, if the state changes.
    `is_discovery`: nothing was known of the post before.
    """

    key: bytes
    output: Outgoing
    enriched: Enriched
    is_discovery: bool
    state: PostState | None
    reached_us: int


class Enricher:
    """Turns records of the raw topic, and envelopes, into enriched records."""

    def __init__(self, settings: Settings) -> None:
        self._rule = trending_rule(settings)
        self._most_ahead = timedelta(minutes=settings.observed_ahead_minutes)
        self._fold_apostrophes = settings.fold_apostrophes
        self._lifetime_us = int(settings.post_state_hours * 3_600_000_000)
        self._window_us = settings.trend_window * 1_000_000

    def enrich_record(self, record: KafkaRecord, known: Callable[[bytes], PostState | None]) -> Enrichment:
        """Enrich a record. `known` gives the state of the post with a key before this observation.

        Raises Invalid for a record that is not valid, and Defect when this code fails on it.
        """
        envelope = validated(record, self._most_ahead)
        key, appended_us = envelope.payload.id.encode(), record.timestamp * 1000
        source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
        try:
            enriched, state = self.enrich(envelope, source, appended_us, lambda: known(key))
        except SignalflowError:
            raise
        except Exception as error:
            log.exception("enrich_defect", topic=record.topic, partition=record.partition, offset=record.offset)
            raise Defect(f"{type(error).__name__}: {error}") from error
        # The watermark never passes the record's own timestamp: otherwise one observation from tomorrow would expire
        # the states of today.
        reached_us = min(state.ring[-1].observed_us, appended_us) if state else appended_us
        output = Outgoing(key, encode(enriched), lineage(record.headers))
        return Enrichment(key, output, enriched, _is_discovery(enriched, state), state, reached_us)

    def enrich(
        self, envelope: Envelope, source: Source, appended_us: int, known: Callable[[], PostState | None]
    ) -> tuple[Enriched, PostState | None]:
        """The enriched record, and the post's new state; None when the state does not change.

        `appended_us` is the time of the record in the log. `known` gives the state before this observation. It is not
        called for posts that bypass the table: backfilled posts, posts without numbers, posts older than states are
        kept, and those that were so old more than LATEST_US before the record was appended.
        """
        observed_at = envelope.metadata.observed_at
        # Records of other programs may hold the text of a post that was taken away.
        post = without_text(envelope.payload) if envelope.payload.removed_by else envelope.payload
        created_us, observed_us = microseconds(post.created_utc), microseconds(observed_at)
        step: Step | None = None
        followed_at = max(observed_us, appended_us - LATEST_US)
        # An observation without numbers says nothing of their change, so it leaves the state as it is.
        if (
            envelope.mode != "backfill"
            and post.score is not None
            and post.num_comments is not None
            and not expired(created_us, followed_at, self._lifetime_us)
        ):
            seen = Observation(observed_us, post.score, post.num_comments)
            step = observe(known(), created_us, seen, self._window_us)
        velocity, trend_velocity = (step.velocity, step.trend_velocity) if step else (UNKNOWN, None)
        features = text_features(envelope.payload.title, self._fold_apostrophes)
        trend = trending(
            self._rule, velocity=trend_velocity, sentiment=features.sentiment_score, comments=post.num_comments
        )
        enriched = Enriched(
            id=post.id,
            subreddit=post.subreddit,
            author=post.author,
            title=post.title,
            url=post.url,
            permalink=post.permalink,
            flair=post.flair,
            over_18=post.over_18,
            is_self=post.is_self,
            edited_at=post.edited_at,
            created_utc=post.created_utc,
            first_seen_at=from_microseconds(step.state.first_seen_us)
            if step and step.state.first_seen_us != observed_us
            else observed_at,
            observed_at=observed_at,
            emitted_at=envelope.emitted_at,
            current_score=post.score,
            current_comments=post.num_comments,
            current_ratio=post.upvote_ratio,
            score_velocity=velocity.score,
            comment_velocity=velocity.comments,
            trend_velocity=trend_velocity,
            trending_score=trend.score,
            is_trending=trend.is_trending,
            nlp=_told(features) if not post.removed_by else UNTOLD,
            removed_by=post.removed_by,
            late=step.late if step else False,
            mode=envelope.mode,
            source=source,
            body=post.body,
            rank=_rank(envelope.metadata),
        )
        return enriched, step.state if step else None
