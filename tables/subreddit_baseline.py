"""The table `subreddit_baseline`: what is usual in each subreddit, as bytes of which the further one counts."""

import faust

from signalflow.kafka.topics import SUBREDDIT_BASELINE_TABLE
from signalflow.settings import Settings
from signalflow.signal_detection import Baseline, decode_baseline, encode_baseline, reached_of
from signalflow.streams.state_table import State, StateCodec, StateTable, create_table

# A subreddit of which nothing was read for so long is forgotten.
LIFETIME_US = 60 * 24 * 3_600_000_000


class SubredditBaselineCodec(StateCodec):
    """How values are merged and when they expire."""

    def merge(self, one: bytes, other: bytes) -> bytes:
        """The value that was computed from more of the log. Both hold all that the log before their places says."""
        return max(one, other, key=lambda value: (reached_of(value), value))

    def expired(self, value: bytes, now_us: int) -> bool:
        """Whether nothing was read of the subreddit for LIFETIME_US."""
        return reached_of(value).appended_us + LIFETIME_US <= now_us


class BatchBaselines:
    """The values of one partition's batch, decoded when first asked for, and which of them changed."""

    def __init__(self, stored: State) -> None:
        self._stored = stored
        self._decoded: dict[bytes, Baseline | None] = {}
        self._changed: dict[bytes, Baseline] = {}

    def get(self, key: bytes) -> Baseline | None:
        """The value of a subreddit after what the batch has done to it so far. Raises Fatal for an unknown version."""
        if key not in self._decoded:
            value = self._stored.get(key)
            self._decoded[key] = None if value is None else decode_baseline(value)
        return self._decoded[key]

    def put(self, key: bytes, baseline: Baseline) -> None:
        """Set a subreddit's value."""
        self._decoded[key] = self._changed[key] = baseline

    def changes(self) -> State:
        """The changed values, encoded for the table."""
        return {key: encode_baseline(self._changed[key]) for key in sorted(self._changed)}


def create_subreddit_baseline(app: faust.App, settings: Settings) -> StateTable:
    """The table of this application."""
    return create_table(
        app,
        SUBREDDIT_BASELINE_TABLE,
        SubredditBaselineCodec(),
        partitions=settings.topic_partitions,
        agent="signals",
        help="What is usual in every subreddit that was observed in the last 60 days.",
    )
