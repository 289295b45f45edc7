"""Term states as compact bytes: a version byte, fixed-width numbers, and texts that begin with their length."""

import struct

from signalflow.domain.signals.bursts import Burst, Counted, Past, TermState
from signalflow.domain.signals.packing import Unpacker, pack_texts

VERSION = 1
_HEAD = struct.Struct("<BqqqddHB")
_TIME = struct.Struct("<q")
_BURST = struct.Struct("<qqIddqIIHHH")


def encode(state: TermState) -> bytes:
    """About 30 bytes a recent post, at most 50 kB; 44 bytes and a burst of about 300 besides."""
    past, burst = state.past, state.burst
    head = _HEAD.pack(VERSION, state.now_us, state.rest_until_us, *past, len(state.recent), burst is not None)
    recent = (_TIME.pack(one.created_us) + pack_texts((one.post, one.subreddit)) for one in state.recent)
    return head + b"".join(recent) + (b"" if burst is None else _encode_burst(burst))


def decode(value: bytes) -> TermState:
    """The inverse of encode. Raises ValueError for a version that this code does not know."""
    packed = Unpacker(value, VERSION, "a term state")
    _, now_us, rest_until_us, until_us, posts, hours, count, bursting = packed.numbers(_HEAD)
    recent = tuple(Counted(packed.numbers(_TIME)[0], packed.text(), packed.text()) for _ in range(count))
    burst = _decode_burst(packed) if bursting else None
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
    return numbers + pack_texts((*burst.posts, *burst.subreddits))


def _decode_burst(packed: Unpacker) -> Burst:
    start_us, noticed_us, observed, past_posts, past_hours, peak_us, peak, count, rule, posts, subreddits = (
        packed.numbers(_BURST)
    )
    return Burst(
        start_us=start_us,
        noticed_us=noticed_us,
        observed=observed,
        past_posts=past_posts,
        past_hours=past_hours,
        peak_us=peak_us,
        peak=peak,
        count=count,
        posts=tuple(packed.text() for _ in range(posts)),
        subreddits=tuple(packed.text() for _ in range(subreddits)),
        rule=rule,
    )
