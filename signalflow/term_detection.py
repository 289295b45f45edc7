"""From mentions of terms, and what is known of them, to bursts. Pure: the same log gives the same bytes."""

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from signalflow.domain.signals import burst_codec
from signalflow.domain.signals.bursts import LIFETIME_US, REACH_US, Burst, Mention, TermState
from signalflow.domain.signals.term_hash import term_hash
from signalflow.domain.signals.watch import Watch, count
from signalflow.enrichment import EPOCH, Defect, from_microseconds, microseconds
from signalflow.errors import Fatal, Invalid, SignalflowError
from signalflow.events import Enriched, Source, encode
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.lineage import trace_of
from signalflow.signal_detection import Place, further
from signalflow.signal_events import Signal, TermInput, decode_term_input

log = structlog.get_logger()

# Of the encoding around the state; `burst_codec.VERSION` is that of the state.
VERSION = 1
_WATCH, _TERM = 0, 1
_HEAD = struct.Struct("<BBBqq")
_TIMES = struct.Struct("<qqH")
_END = struct.Struct("<8sq")
# The newest observation of a term, in an encoded state.
_NEWEST = struct.Struct("<q")
_REACH = timedelta(microseconds=REACH_US)
_KEY = re.compile(rb"[0-9a-f]{16}")
# What is known of a whole partition has a key that no term has. It is greater than all of them, so it is written last:
# where it is in the changelog, the states of the terms that it speaks of are, too.
WATCH_KEY = b"watch"


@dataclass(frozen=True, slots=True)
class Known:
    """One value of the table: a term's state, or the watch of a partition, with the last record that changed it."""

    reached: Place
    of: TermState | Watch


@dataclass(frozen=True, slots=True)
class TermDetection:
    """What becomes of a mention: bursts that changed, and the values that do, by their keys in the table.

    There is none for a repetition, which changes nothing. `reached_us`: how far the record takes the watermark.
    """

    signals: tuple[Signal, ...]
    values: Mapping[bytes, Known]
    reached_us: int


def mentions_of(enriched: Enriched, is_discovery: bool, record: KafkaRecord) -> list[Outgoing]:
    """A record for each term that a new post mentions.

    None for other observations, and for posts that were found so late that they count in no burst.
    """
    if (
        not is_discovery
        or enriched.late
        or enriched.mode == "backfill"
        or enriched.created_utc < enriched.observed_at - _REACH
    ):
        return []
    value = encode(
        TermInput(
            post_id=enriched.id,
            subreddit=enriched.subreddit,
            created_utc=enriched.created_utc,
            observed_at=enriched.observed_at,
            emitted_at=enriched.emitted_at,
        )
    )
    trace = trace_of(record.headers)
    return [Outgoing(term_hash(term).encode(), value, trace) for term in enriched.nlp.keywords]


def mention_of(given: TermInput) -> Mention:
    """The mention as the rule takes it."""
    return Mention(
        given.post_id, given.subreddit.lower(), microseconds(given.created_utc), microseconds(given.observed_at)
    )


def validated_mention(record: KafkaRecord) -> TermInput:
    """Decode a mention. Raises Invalid that names the field: not decodable, no hash as key, absurd times."""
    check_readable(record)
    given = decode_term_input(record.value or b"")
    if not _KEY.fullmatch(record.key or b""):
        raise Invalid("the key is not the hash of a term", field="key")
    for name, time in (("observed_at", given.observed_at), ("created_utc", given.created_utc)):
        if time < EPOCH:
            raise Invalid("a time before 1970", field=name)
    return given


def burst_id(term: str, burst: Burst) -> str:
    """The id of a burst of a term."""
    return f"burst-{term}-{from_microseconds(burst.start_us):%Y%m%dT%H%M%SZ}"


def burst_signal(term: str, burst: Burst, changed_us: int, given: TermInput, source: Source) -> Signal:
    """The signal of a burst. `given`, of the record `source`, is the mention that changed it at this log time.

    `observed` is the peak, so that the strength is observed / expected.
    """
    return Signal(
        id=burst_id(term, burst),
        kind="burst",
        rule_version=burst.rule,
        subject_kind="term",
        subject=term,
        subreddit=burst.subreddits[0] if len(burst.subreddits) == 1 else None,
        started_at=from_microseconds(burst.start_us),
        peak_at=from_microseconds(burst.peak_us),
        ended_at=None if burst.end_us is None else from_microseconds(burst.end_us),
        changed_at=from_microseconds(changed_us),
        strength=burst.strength,
        observed=float(burst.peak),
        expected=burst.expected,
        post_ids=list(burst.posts),
        inputs=burst.inputs,
        source=source,
        emitted_at=given.emitted_at,
    )


def detect(record: KafkaRecord, known: Callable[[bytes], Known | None]) -> TermDetection:
    """The bursts that a mention changes. `known` gives what is known of the partition and of a term, by its key.

    Raises Invalid for a record that is not valid, and Defect when this code fails on it.
    """
    given = validated_mention(record)
    try:
        return _after(record, given, known)
    except SignalflowError:
        raise
    except Exception as error:
        log.exception("terms_defect", topic=record.topic, partition=record.partition, offset=record.offset)
        raise Defect(f"{type(error).__name__}: {error}") from error


def _after(record: KafkaRecord, given: TermInput, known: Callable[[bytes], Known | None]) -> TermDetection:
    """What is counted already changes nothing: its bursts were confirmed before the values were written.

    A worker that dies while it writes to the changelog leaves values of terms without that of the watch, so both are
    looked at. What the enrich agent sends again needs no care here: the rule leaves out a post that the term has.
    """
    place = Place(record.timestamp * 1000, record.offset)
    watched = known(WATCH_KEY)
    watch = None if watched is None or not isinstance(watched.of, Watch) else watched.of
    if watch is not None and watched is not None and not place.is_after(watched.reached):
        return TermDetection((), {}, watch.now_us)

    def state_of(term: str) -> TermState | None:
        found = known(term.encode())
        return found.of if found is not None and isinstance(found.of, TermState) else None

    def includes(term: str) -> bool:
        found = known(term.encode())
        return found is not None and not place.is_after(found.reached)

    counted = count(watch, (record.key or b"").decode(), mention_of(given), state_of, includes)
    reached = further(place, None if watched is None else watched.reached)
    source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
    return TermDetection(
        tuple(
            burst_signal(term, change.burst, counted.watch.now_us, given, source) for term, change in counted.changes
        ),
        {
            **{term.encode(): Known(reached, state) for term, state in counted.states.items()},
            WATCH_KEY: Known(reached, counted.watch),
        },
        counted.watch.now_us,
    )


def encode_known(known: Known) -> bytes:
    """Two version bytes, what it is, what was reached; then the state, or times and 16 bytes for each open burst."""
    if isinstance(known.of, TermState):
        return _HEAD.pack(VERSION, burst_codec.VERSION, _TERM, *known.reached) + burst_codec.encode(known.of)
    since_us, now_us, ends = known.of
    return b"".join(
        (
            _HEAD.pack(VERSION, burst_codec.VERSION, _WATCH, *known.reached),
            _TIMES.pack(since_us, now_us, len(ends)),
            *(_END.pack(bytes.fromhex(term), at) for term, at in sorted(ends.items())),
        )
    )


def decode_known(value: bytes) -> Known:
    """The inverse of encode_known. Raises Fatal for a version this code does not know."""
    versions = tuple(value[:2])
    if versions != (VERSION, burst_codec.VERSION):
        raise Fatal(
            f"term_counts holds a value of version {versions}, this code knows {(VERSION, burst_codec.VERSION)}: "
            "run the version of signalflow that wrote it, or a newer one"
        )
    _, _, what, *reached = _HEAD.unpack_from(value)
    place, rest = Place(*reached), value[_HEAD.size :]
    if what == _TERM:
        return Known(place, burst_codec.decode(rest))
    since_us, now_us, count_ = _TIMES.unpack_from(rest)
    ends = _END.iter_unpack(rest[_TIMES.size : _TIMES.size + count_ * _END.size])
    return Known(place, Watch(since_us, now_us, {term.hex(): at for term, at in ends}))


def reached_of(value: bytes) -> Place:
    """What an encoded value has reached."""
    return Place(*_HEAD.unpack_from(value)[3:])


def is_expired(value: bytes, now_us: int) -> bool:
    """Whether an encoded value may be removed at this log time: nobody mentioned the term for LIFETIME_US."""
    return value[2] == _TERM and now_us - _NEWEST.unpack_from(value, _HEAD.size + 1)[0] > LIFETIME_US
