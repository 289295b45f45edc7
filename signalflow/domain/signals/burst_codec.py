"""Term states as compact bytes: a version byte, fixed-width numbers, and texts that begin with their length."""

import struct
from collections.abc import Iterable

from signalflow.domain.signals.bursts import Burst, Counted, Past, TermState

VERSION = 1
_HEAD = struct.Struct("<BqqqddHB")
_TIME = struct.Struct("<q")
_BURST = struct.Struct("<qqIddqIIHHH")
_LENGTH = struct.Struct("<H")


def encode(state: TermState) -> bytes:
    """About 30 bytes a recent post, at most 50 kB; 44 bytes and a burst of about 300 besides."""
    past, burst = state.past, state.burst
    head = _HEAD.pack(VERSION, state.now_us, state.rest_until_us, *past, len(state.recent), burst is not None)
    recent = (_TIME.pack(one.created_us) + _texts((one.post, one.subreddit)) for one in state.recent)
    return head + b"".join(recent) + (b"" if burst is None else _encode_burst(burst))


def decode(value: bytes) -> TermState:
    """The inverse of encode. Raises ValueError for a version that this code does not know."""
    if not value or value[0] != VERSION:
        raise ValueError(f"a term state of version {value[0] if value else 'none'}, this code knows {VERSION}")
    _, now_us, rest_until_us, until_us, posts, hours, count, bursting = _HEAD.unpack_from(value)
    reader = _Reader(value, _HEAD.size)
    recent = tuple(Counted(reader.number(), reader.text(), reader.text()) for _ in range(count))
    burst = reader.burst() if bursting else None
    return TermState(now_us, Past(until_us, posts, hours), recent, burst, rest_until_us)


def _encode_burst(burst: Burst) -> bytes:
    """A burst that has not ended."""
    numbers = _BURST.pack(
        burst.start_us,
        burst.noticed_us,
        burst.observed,
        burst.past_posts,
        burst.past_hours,
        burst.peak_us,
        burst.peak,
        burst.count,
        burst.rule,
        len(burst.posts),
        len(burst.subreddits),
    )
    return numbers + _texts(burst.posts) + _texts(burst.subreddits)


def _texts(texts: Iterable[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)


class _Reader:
    """Reads one value after the other."""

    def __init__(self, value: bytes, place: int) -> None:
        self._value = value
        self._place = place

    def number(self) -> int:
        (number,) = _TIME.unpack_from(self._value, self._place)
        self._place += _TIME.size
        return int(number)

    def text(self) -> str:
        (length,) = _LENGTH.unpack_from(self._value, self._place)
        begin = self._place + _LENGTH.size
        self._place = begin + length
        return self._value[begin : self._place].decode()

    def burst(self) -> Burst:
        numbers = _BURST.unpack_from(self._value, self._place)
        self._place += _BURST.size
        start_us, noticed_us, observed, past_posts, past_hours, peak_us, peak, count, rule, posts, subreddits = numbers
        return Burst(
            start_us=start_us,
            noticed_us=noticed_us,
            observed=observed,
            past_posts=past_posts,
            past_hours=past_hours,
            peak_us=peak_us,
            peak=peak,
            count=count,
            posts=tuple(self.text() for _ in range(posts)),
            subreddits=tuple(self.text() for _ in range(subreddits)),
            rule=rule,
        )
