"""Wire models of signals: what they are computed from, and what they say. As in events.py."""

from typing import Literal

import msgspec
from msgspec import Struct

from signalflow.domain.words import ObservationMode, SignalKind, SignalSubject
from signalflow.events import Count, Int32, PostId, Ratio, Short, Source, SubredditName, Time, decoded_by


class SignalInput(Struct, kw_only=True, frozen=True):
    """What signals are computed from: one observation of a post, by numbers alone, with its subreddit as key.

    `is_discovery`: nothing was known of the post before. `appended_at` is the time of the raw record in its log.
    Velocities are per second. What is unknown is None.
    """

    subreddit: SubredditName
    post_id: PostId
    created_utc: Time
    observed_at: Time
    emitted_at: Time
    appended_at: Time
    is_discovery: bool
    score: Int32 | None
    comments: Count | None
    ratio: Ratio | None
    score_velocity: float | None
    late: bool
    taken_away: bool
    mode: ObservationMode
    source: Source
    entity_type: Literal["signal_input"] = "signal_input"
    schema_version: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The key of its record: Reddit ignores the case of a subreddit's name."""
        return self.subreddit.lower().encode()


class TermInput(Struct, kw_only=True, frozen=True):
    """A mention: a new post whose title has a term as a keyword. The key is the hash of the term, which is not told.

    The records of one post have equal values. `created_utc` and `observed_at` are as in Enriched.
    """

    post_id: PostId
    subreddit: SubredditName
    created_utc: Time
    observed_at: Time
    emitted_at: Time
    entity_type: Literal["term_input"] = "term_input"
    schema_version: Literal[1] = 1


class Signal(Struct, kw_only=True, frozen=True):
    """A signal as it stood after one observation: it began, grew, or ended. A later record of the same id replaces it.

    `subject` is a post's id, a subreddit's name or the hash of a term, as `subject_kind` says. `strength`: a
    probability for viral, how many times the expected number for burst, standard deviations for unusual_here.
    `observed` and `expected` are numbers of one unit: a score, posts in 15 minutes, or of a term posts in an hour.
    `inputs` are the numbers from which rule `rule_version` computes all of these again. `changed_at` is when the
    observation was made that changed it. `source` is the record of signal inputs or of term inputs that held this
    observation.
    """

    id: Short
    kind: SignalKind
    rule_version: Count
    subject_kind: SignalSubject
    subject: Short
    subreddit: SubredditName | None
    started_at: Time
    peak_at: Time
    ended_at: Time | None
    changed_at: Time
    strength: float
    observed: float
    expected: float
    post_ids: list[PostId]
    inputs: dict[str, float | None]
    source: Source
    emitted_at: Time
    entity_type: Literal["signal"] = "signal"
    schema_version: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The key of its record. A term keeps its key when a second subreddit tells it."""
        return (self.subject if self.subject_kind == "term" else self.subreddit or self.subject).lower().encode()


_signal_input_decoder = msgspec.json.Decoder(SignalInput)
_term_input_decoder = msgspec.json.Decoder(TermInput)
_signal_decoder = msgspec.json.Decoder(Signal)


def decode_signal_input(value: bytes) -> SignalInput:
    """Decode a record of reddit.signals.inputs. Raises Invalid."""
    return decoded_by(_signal_input_decoder, value)


def decode_term_input(value: bytes) -> TermInput:
    """Decode a record of reddit.terms.inputs. Raises Invalid."""
    return decoded_by(_term_input_decoder, value)


def decode_signal(value: bytes) -> Signal:
    """Decode a record of reddit.signals. Raises Invalid."""
    return decoded_by(_signal_decoder, value)
