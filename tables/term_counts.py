"""The table `term_counts`: what is known of each term, and of each partition, as bytes of which the further counts."""

from collections.abc import Callable, Iterable, Sequence

import faust

from signalflow.domain.signals.watch import Watch
from signalflow.kafka.topics import TERM_COUNTS_TABLE
from signalflow.settings import Settings
from signalflow.streams.state_table import State, StateCodec, StateTable, create_table
from signalflow.term_detection import WATCH_KEY, Known, decode_known, encode_known, is_expired, reached_of


class TermCountsCodec(StateCodec):
    """How values are merged and when they expire."""

    def merge(self, one: bytes, other: bytes) -> bytes:
        """The value that was computed from more of the log. Both hold all that the log before their places says."""
        return max(one, other, key=lambda value: (reached_of(value), value))

    def expired(self, value: bytes, now_us: int) -> bool:
        """Whether nobody mentioned the term for a week."""
        return is_expired(value, now_us)


class BatchTerms:
    """The values of one partition's batch, decoded when first asked for, and which of them changed."""

    def __init__(self, read: Callable[[Sequence[bytes]], State], keys: Iterable[bytes]) -> None:
        self._stored = read([*{WATCH_KEY, *keys}])
        self._known: dict[bytes, Known | None] = {}
        self._changed: set[bytes] = set()
        watch = self.get(WATCH_KEY)
        if watch is not None and isinstance(watch.of, Watch):
            # The batch may end their bursts.
            self._stored |= read([key for term in watch.of.ends_us if (key := term.encode()) not in self._stored])

    def get(self, key: bytes) -> Known | None:
        """What is known under a key after what the batch has done so far. Raises Fatal for an unknown version."""
        if key not in self._known:
            value = self._stored[key]
            self._known[key] = None if value is None else decode_known(value)
        return self._known[key]

    def put(self, key: bytes, known: Known) -> None:
        """Set what is known under a key."""
        self._known[key] = known
        self._changed.add(key)

    def changes(self) -> State:
        """The changed values, encoded for the table; the watch is the last."""
        return {key: encode_known(known) for key in sorted(self._changed) if (known := self._known[key]) is not None}


def create_term_counts(app: faust.App, settings: Settings) -> StateTable:
    """The table of this application."""
    return create_table(
        app,
        TERM_COUNTS_TABLE,
        TermCountsCodec(),
        partitions=settings.topic_partitions,
        agent="terms",
        help="Posts of every term that was mentioned in the last week.",
    )
