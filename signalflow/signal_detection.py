"""From an observation and what is usual in its subreddit to signals. Pure: the same log gives the same bytes."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from signalflow.domain.signals import subreddit
from signalflow.domain.signals.subreddit import Change, Seen, SubredditState, is_listed
from signalflow.enrichment import EPOCH, Defect, from_microseconds, microseconds
from signalflow.errors import Fatal, Invalid, SignalflowError
from signalflow.events import Enriched, Source, encode
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.lineage import lineage, trace_of
from signalflow.signal_events import Signal, SignalInput, decode_signal_input

log = structlog.get_logger()

# Of the encoding around the state; `subreddit.VERSION` is that of the state and of the rules.
VERSION = 1
_KNOWN_VERSIONS = tuple((VERSION, version) for version in range(subreddit.OLDEST_VERSION, subreddit.VERSION + 1))
_HEAD = struct.Struct("<BBqqH")
_APPLIED = struct.Struct("<iqq")

Follow = Callable[[SubredditState | None, str, Seen], tuple[SubredditState, tuple[Change, ...]]]
"""The rule: `signalflow.domain.signals.subreddit.follow`."""


class Place(NamedTuple):
    """A record's place in one partition of a log: when the brokers got it, in microseconds since 1970, and its offset.

    The times of places that were reached never go back, although those of records may: a new leader's clock may be
    behind the one before. So of two places that were reached, the greater one is further.
    """

    appended_us: int
    offset: int

    def is_after(self, reached: "Place | None") -> bool:
        """Whether this record was not there yet when a log was read up to `reached`.

        A log that was cut has new records at old offsets, with later times.
        """
        return reached is None or self.offset > reached.offset or self.appended_us > reached.appended_us


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a subreddit: one value of the table.

    `reached`: the last input that was applied. `applied`: by partition of the raw topic, the newest observation that
    was applied. `state` follows from the inputs alone.
    """

    reached: Place
    applied: Mapping[int, Place]
    state: SubredditState


@dataclass(frozen=True, slots=True)
class Detection:
    """What becomes of a record of signal inputs: signals that changed, and the subreddit's new value.

    `baseline` is None for a repetition, which changes nothing. `reached_us`: how far the record takes the watermark.
    """

    key: bytes
    signals: tuple[Signal, ...]
    baseline: Baseline | None
    reached_us: int

    @property
    def values(self) -> Mapping[bytes, Baseline]:
        """The values of the table that change, by their keys."""
        return {} if self.baseline is None else {self.key: self.baseline}


def input_of(enriched: Enriched, is_discovery: bool, appended_us: int) -> SignalInput:
    """What signals are computed from, of an enriched record. `appended_us`: the time of the raw record in its log."""
    return SignalInput(
        subreddit=enriched.subreddit,
        post_id=enriched.id,
        created_utc=enriched.created_utc,
        observed_at=enriched.observed_at,
        emitted_at=enriched.emitted_at,
        appended_at=from_microseconds(appended_us),
        is_discovery=is_discovery,
        score=enriched.current_score,
        comments=enriched.current_comments,
        ratio=enriched.current_ratio,
        score_velocity=enriched.score_velocity,
        late=enriched.late,
        taken_away=enriched.removed_by is not None,
        mode=enriched.mode,
        source=enriched.source,
    )


def seen_of(given: SignalInput) -> Seen:
    """The observation as the rule takes it."""
    return Seen(
        post_id=given.post_id,
        created_us=microseconds(given.created_utc),
        observed_us=microseconds(given.observed_at),
        is_discovery=given.is_discovery,
        score=given.score,
        comments=given.comments,
        ratio=given.ratio,
        score_velocity=given.score_velocity,
        is_late=given.late,
        is_taken_away=given.taken_away,
        is_backfill=given.mode == "backfill",
        is_listed=is_listed(given.mode, microseconds(given.appended_at) - microseconds(given.observed_at)),
    )


def id_of(change: Change) -> str:
    """The id of a signal. A post has one of each kind for ever; of a subreddit, each beginning is another signal."""
    if change.subject_kind == "post":
        return f"{change.kind}-{change.subject}"
    return f"{change.kind}-{change.subject}-{from_microseconds(change.started_us):%Y%m%dT%H%M%SZ}"


def signal_of(change: Change, given: SignalInput, source: Source) -> Signal:
    """The signal that an input changed. `source` is the record of the input."""
    return Signal(
        id=id_of(change),
        kind=change.kind,
        rule_version=subreddit.VERSION,
        subject_kind=change.subject_kind,
        subject=change.subject,
        subreddit=given.subreddit,
        started_at=from_microseconds(change.started_us),
        peak_at=from_microseconds(change.peak_us),
        ended_at=None if change.ended_us is None else from_microseconds(change.ended_us),
        changed_at=from_microseconds(change.changed_us),
        strength=change.strength,
        observed=change.observed,
        expected=change.expected,
        post_ids=list(change.post_ids),
        inputs=change.inputs,
        source=source,
        emitted_at=given.emitted_at,
    )


def validated_input(record: KafkaRecord) -> SignalInput:
    """Decode a record of signal inputs. Raises Invalid that names the field: not decodable, wrong key, absurd times."""
    check_readable(record)
    given = decode_signal_input(record.value or b"")
    if record.key != given.key:
        raise Invalid(f"the key is not the subreddit {given.subreddit} in lower case", field="key")
    for name, time in (("observed_at", given.observed_at), ("created_utc", given.created_utc)):
        if time < EPOCH:
            raise Invalid("a time before 1970", field=name)
    return given


def after(baseline: Baseline | None, record: KafkaRecord, given: SignalInput, follow: Follow) -> Detection:
    """The signals that an input changes, and what is known after it. `baseline`: what was known before.

    An input that was applied already, or whose observation was, changes nothing: its signals were confirmed before the
    value was written.
    """
    source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
    place = Place(record.timestamp * 1000, record.offset)
    observed = Place(microseconds(given.appended_at), given.source.offset)
    key, applied = given.key, None if baseline is None else baseline.applied.get(given.source.partition)
    if not observed.is_after(applied) or (baseline is not None and not place.is_after(baseline.reached)):
        return Detection(key, (), None, place.appended_us)
    state, changes = follow(None if baseline is None else baseline.state, key.decode(), seen_of(given))
    return Detection(
        key,
        tuple(signal_of(change, given, source) for change in changes),
        Baseline(
            further(place, None if baseline is None else baseline.reached),
            {
                **({} if baseline is None else baseline.applied),
                given.source.partition: further(observed, applied),
            },
            state,
        ),
        place.appended_us,
    )


def further(place: Place, before: Place | None) -> Place:
    """What is reached with the record at a place, after `before` was."""
    return place if before is None else Place(max(place.appended_us, before.appended_us), place.offset)


class Detector:
    """Turns records of signal inputs into signals."""

    def __init__(self, follow: Follow = subreddit.follow) -> None:
        self._follow = follow

    def detect(self, record: KafkaRecord, known: Callable[[bytes], Baseline | None]) -> Detection:
        """The signals that a record changes. `known` gives what is known of the subreddit with a key.

        Raises Invalid for a record that is not valid, and Defect when this code fails on it.
        """
        given = validated_input(record)
        try:
            return after(known(given.key), record, given, self._follow)
        except SignalflowError:
            raise
        except Exception as error:
            log.exception("signals_defect", topic=record.topic, partition=record.partition, offset=record.offset)
            raise Defect(f"{type(error).__name__}: {error}") from error


def outgoing_input(given: SignalInput, record: KafkaRecord) -> Outgoing:
    """The record of what signals are computed from, made from a raw record."""
    return Outgoing(given.key, encode(given), trace_of(record.headers))


def outgoing(signal: Signal, record: KafkaRecord) -> Outgoing:
    """The record of a signal that the input in `record` changed."""
    return Outgoing(signal.key, encode(signal), lineage(record.headers))


def encode_baseline(baseline: Baseline) -> bytes:
    """Two version bytes, what was reached, 20 bytes a partition of the raw topic, then the state."""
    return b"".join(
        (
            _HEAD.pack(VERSION, subreddit.VERSION, *baseline.reached, len(baseline.applied)),
            *(_APPLIED.pack(partition, *place) for partition, place in sorted(baseline.applied.items())),
            subreddit.encode_state(baseline.state),
        )
    )


def decode_baseline(value: bytes) -> Baseline:
    """The inverse of encode_baseline, also for older states. Raises Fatal for a version this code does not know."""
    versions = tuple(value[:2])
    if versions not in _KNOWN_VERSIONS:
        raise Fatal(
            f"subreddit_baseline holds a value of version {versions}, this code knows {_KNOWN_VERSIONS}: "
            "run the version of signalflow that wrote it, or a newer one"
        )
    *_, appended_us, offset, count = _HEAD.unpack_from(value)
    end = _HEAD.size + count * _APPLIED.size
    applied = {
        partition: Place(at, of) for partition, at, of in _APPLIED.iter_unpack(memoryview(value)[_HEAD.size : end])
    }
    return Baseline(Place(appended_us, offset), applied, subreddit.decode_state(value[end:], versions[1]))


def reached_of(value: bytes) -> Place:
    """What an encoded value has reached."""
    return Place(*_HEAD.unpack_from(value)[2:4])
