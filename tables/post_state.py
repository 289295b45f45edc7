"""The table `post_state`: the last observations of each post, as compact bytes that can be merged."""

import struct

import faust

from signalflow.domain.observations import Observation, PostState, expired, merge
from signalflow.errors import Fatal
from signalflow.kafka.topics import POST_STATE_TABLE
from signalflow.settings import Settings
from signalflow.streams.state_table import State, StateCodec, StateTable, create_table

VERSION = 1
_HEAD = struct.Struct("<Bqq")
_OBSERVATION = struct.Struct("<qii")


def encode_state(state: PostState) -> bytes:
    """One version byte, two times, then 16 bytes an observation: at most 257 bytes."""
    return _HEAD.pack(VERSION, state.created_us, state.first_seen_us) + b"".join(
        _OBSERVATION.pack(*observation) for observation in state.ring
    )


def decode_state(value: bytes) -> PostState:
    """The inverse of encode_state. Raises Fatal for a version this code does not know: guessing would damage state."""
    if not value or value[0] != VERSION:
        raise Fatal(
            f"post_state holds a value of version {value[0] if value else 'none'}, this code knows {VERSION}: "
            "run the version of signalflow that wrote it, or a newer one"
        )
    _, created_us, first_seen_us = _HEAD.unpack_from(value)
    ring = tuple(map(Observation._make, _OBSERVATION.iter_unpack(memoryview(value)[_HEAD.size :])))
    return PostState(created_us, first_seen_us, ring)


class PostStateCodec(StateCodec):
    """How post states are merged and when they expire."""

    def __init__(self, settings: Settings) -> None:
        self.lifetime_us = int(settings.post_state_hours * 3_600_000_000)
        self._window_us = settings.trend_window * 1_000_000

    def merge(self, one: bytes, other: bytes) -> bytes:
        """The union of two encoded states."""
        return one if one == other else encode_state(merge(decode_state(one), decode_state(other), self._window_us))

    def expired(self, value: bytes, now_us: int) -> bool:
        """Whether the post was created longer ago than its state is kept."""
        return expired(_HEAD.unpack_from(value)[1], now_us, self.lifetime_us)


class BatchStates:
    """The states of one partition's batch, decoded when first asked for, and which of them changed."""

    def __init__(self, stored: State) -> None:
        self._stored = stored
        self._decoded: dict[bytes, PostState | None] = {}
        self._changed: set[bytes] = set()

    def get(self, key: bytes) -> PostState | None:
        """The state of a post after what the batch has done to it so far."""
        if key not in self._decoded:
            value = self._stored.get(key)
            self._decoded[key] = None if value is None else decode_state(value)
        return self._decoded[key]

    def put(self, key: bytes, state: PostState) -> None:
        """Set a post's state. The same object as before counts as unchanged."""
        if state is not self._decoded.get(key):
            self._decoded[key] = state
            self._changed.add(key)

    def changes(self) -> State:
        """The changed states, encoded for the table."""
        return {key: encode_state(state) for key in sorted(self._changed) if (state := self._decoded[key])}


def create_post_state(app: faust.App, settings: Settings) -> StateTable:
    """The table of this application."""
    return create_table(
        app,
        POST_STATE_TABLE,
        PostStateCodec(settings),
        partitions=settings.topic_partitions,
        agent="enrich",
        help="Last observations of every post younger than 48 h.",
    )
