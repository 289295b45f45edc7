"""Term states as compact bytes: a version byte, fixed-width numbers, and names that are packed together."""

import struct

from signalflow.domain.signals.bursts import Burst, Counted, Past, TermState
from signalflow.domain.signals.packing import Unpacker, pack_names

VERSION = 1
_HEAD = struct.Struct("<BqqqqddHB")
_BURST = struct.Struct("<qqIddqIIHHH")


def encode(state: TermState) -> bytes:
    """About 25 bytes a recent post, at most 50 kB; 54 bytes and a burst of about 300 besides."""
    past, burst = state.past, state.burst
    times, posts, subreddits = tuple(zip(*state.recent, strict=True)) or ((), (), ())
    return b"".join(
        (
            _HEAD.pack(
                VERSION, state.now_us, state.rest_until_us, state.burst_at_us, *past, len(times), burst is not None
            ),
            struct.pack(f"<{len(times)}q", *times),
            pack_names((*posts, *subreddits)),
            b"" if burst is None else _encode_burst(burst),
        )
    )


def decode(value: bytes) -> TermState:
    """The inverse of encode. Raises ValueError for a version that this code does not know."""
    packed = Unpacker(value, VERSION, "a term state")
    _, now_us, rest_until_us, burst_at_us, until_us, posts, hours, count, bursting = packed.numbers(_HEAD)
    times, names = packed.numbers(struct.Struct(f"<{count}q")), packed.names()
    recent = tuple(map(Counted, times, names[:count], names[count:]))
    burst = _decode_burst(packed) if bursting else None
    return TermState(now_us, Past(until_us, posts, hours), recent, burst, rest_until_us, burst_at_us)


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
    return numbers + pack_names((*burst.posts, *burst.subreddits))


def _decode_burst(packed: Unpacker) -> Burst:
    start_us, noticed_us, observed, past_posts, past_hours, peak_us, peak, count, rule, posts, _ = packed.numbers(
        _BURST
    )
    names = packed.names()
    return Burst(
        start_us=start_us,
        noticed_us=noticed_us,
        observed=observed,
        past_posts=past_posts,
        past_hours=past_hours,
        peak_us=peak_us,
        peak=peak,
        count=count,
        posts=tuple(names[:posts]),
        subreddits=tuple(names[posts:]),
        rule=rule,
    )
