"""Signals in the live stream: their messages, their records on the way to clients, and their filters."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from signalflow.domain.signals.sentences import NOTHING_KNOWN, words_of
from signalflow.domain.words import SignalKind, SignalSubject
from signalflow.errors import Invalid
from signalflow.events import PostId, Time
from signalflow.signal_events import Signal, decode_signal
from web.live.protocol import DEMANDS, FilterForm, Name, Token, encode_frame
from web.live.records import LiveRecord

Strength = Annotated[float, Meta(ge=0)]


class LiveSignal(Struct, kw_only=True, frozen=True):
    """A signal as it stands after the observation that last changed it. It names no words of authors, and no term.

    `GET /api/signals/{id}/` tells what its posts are about.
    """

    id: str
    kind: SignalKind
    rule_version: int
    subject_kind: SignalSubject
    subject: str
    subreddit: str | None
    started_at: Time
    peak_at: Time
    ended_at: Annotated[Time | None, Meta(description="Null while it goes on.")]
    changed_at: Annotated[Time, Meta(description="When the observation was made that last changed it.")]
    strength: Annotated[
        float,
        Meta(
            description="A probability for `viral`, standard deviations for `unusual_here`, and for `burst` how many "
            "times the expected posts there are."
        ),
    ]
    observed: float
    expected: float
    post_ids: list[PostId]
    inputs: dict[str, float | None]
    sentence: Annotated[str, Meta(description="All of it in a sentence, without what its posts are about.")]
    how_sure: Annotated[str, Meta(description="The strength in words.")]
    why: Annotated[str, Meta(description="The numbers behind it in words; may be empty.")]

    @classmethod
    def of(cls, signal: Signal) -> "LiveSignal":
        """The signal as clients get it."""
        words: dict[str, Any] = dict(words_of(signal, NOTHING_KNOWN))
        return cls(**words | {name: getattr(signal, name) for name in cls.__struct_fields__ if name not in words})


class Signals(Struct, kw_only=True, frozen=True, tag_field="type", tag="signals"):
    """Signals that match the filter and that began, changed or ended, each at most once.

    At most one such frame per `live_frame_ms`.
    """

    id: Token
    signals: list[LiveSignal]


class SignalFilter(Struct, kw_only=True, frozen=True, tag_field="type", tag="filter", forbid_unknown_fields=True):
    """What a client of signals wants: all conditions must hold; an empty list and null are no condition.

    The REST API has the same names. The filter replaces the whole earlier one.
    """

    kind: Annotated[list[SignalKind], Meta(max_length=3, description="Any of these kinds.")] = []
    subreddit: Annotated[list[Name], Meta(max_length=500, description="Any of these, without `r/`, in any case.")] = []
    min_strength: Annotated[
        Strength | None,
        Meta(
            description="With at least this strength: a probability for `viral`, standard deviations for "
            "`unusual_here`, a multiple for `burst`. It needs exactly one `kind`.",
        ),
    ] = None


def _check_kind(wanted: SignalFilter) -> None:
    if wanted.min_strength is not None and len(set(wanted.kind)) != 1:
        raise Invalid("needs exactly one kind, because strengths of two kinds cannot be compared", "min_strength")


SIGNAL_FILTERS = FilterForm(
    SignalFilter,
    {
        "kind": "must be some of viral, unusual_here, burst",
        "subreddit": DEMANDS["subreddit"],
        "min_strength": "must be a number of at least 0",
    },
    lists=frozenset({"kind", "subreddit"}),
    check=_check_kind,
)


@dataclass(frozen=True)
class SignalRecord(LiveRecord):
    """A signal on its way to clients. `place`: the offset of the observation that changed it."""

    signal: LiveSignal
    place: int

    @property
    def id(self) -> str:
        """The signal's id."""
        return self.signal.id

    @property
    def observed_at(self) -> datetime:
        """When the observation was made that changed it."""
        return self.signal.changed_at

    @property
    def is_removal(self) -> bool:
        """Never: a signal has no words of authors that could be taken away."""
        return False

    @property
    def newness(self) -> tuple[datetime, int]:
        """By time, then by place: one answer of Reddit holds many observations, all of one time."""
        return self.observed_at, self.place

    def over(self, older: LiveRecord) -> "SignalRecord":
        """This one: it tells the whole signal."""
        return self


def signal_record(partition: int, offset: int, value: bytes) -> SignalRecord:
    """The record as clients get it. Raises Invalid when it cannot be decoded."""
    told = decode_signal(value)
    signal = LiveSignal.of(told)
    text = encode_frame(signal)
    return SignalRecord(partition, offset, text.decode(), len(text), signal, told.source.offset)


class SignalMatcher:
    """A filter of signals prepared for matching; equal filters have equal keys."""

    def __init__(self, wanted: SignalFilter) -> None:
        self._kinds = frozenset(wanted.kind)
        self._subreddits = frozenset(name.lower() for name in wanted.subreddit)
        self._least = wanted.min_strength
        self.key = (self._kinds, self._subreddits, self._least)

    def __call__(self, record: SignalRecord) -> bool:
        signal = record.signal
        return (
            (not self._kinds or signal.kind in self._kinds)
            and (not self._subreddits or (signal.subreddit or "").lower() in self._subreddits)
            and (self._least is None or signal.strength >= self._least)
        )
