"""How many posts a subreddit has in a quarter of an hour, and how many it usually has at this hour of the week. Pure.

Posts are counted by their creation. What is usual is learnt from quarters that ended six hours ago: posts that an
outage of our own hid until then are counted in the quarter in which they were made.
"""

import struct
from array import array
from dataclasses import dataclass, replace

from signalflow.domain.signals.priors import shipped

MINUTE_US = 60_000_000
QUARTER_US = 15 * MINUTE_US
# Posts of the last 15 minutes: the current one and 14 whole ones.
WINDOW_MINUTES = 15
# Quarters that are still open for posts that are found late. After a longer time without any observation of the
# subreddit nobody knows whether it was quiet, so its quarters are not learnt.
OPEN_QUARTERS = 24
HOURS_OF_DAY, HOURS_OF_WEEK = 24, 168
# 1970-01-01 was a Thursday; hour 0 of the week is Monday's first.
_EPOCH_HOUR = 72
# Each mean forgets: a quarter's weight falls to 1/e after so many later quarters of its kind. Four weeks of all
# quarters, two weeks of an hour of the day, six weeks of an hour of the week.
ALL_MEMORY, DAY_MEMORY, WEEK_MEMORY = 2_688, 56, 24
# An hour of the day counts as if so many of its quarters had been as the whole subreddit's level says; an hour of the
# week likewise, as its hour of the day says.
DAY_PRIOR, WEEK_PRIOR = 16, 16
# A count above mean + 4 standard deviations is learnt as this limit: a burst must not make the next one look usual,
# and a subreddit that has grown for good is learnt within days.
LEARNT_SIGMAS = 4.0
# Fewer posts a quarter than this are not expected anywhere: one post a day is 0.01.
LEAST_MEAN = 0.01
_UNKNOWN = 0xFFFF
_MOST_COUNT = 0xFFFE
_HEAD = struct.Struct("<IddI")
_COUNTS = struct.Struct(f"<{WINDOW_MINUTES + OPEN_QUARTERS}H")
_MEANS = struct.Struct(f"<{HOURS_OF_DAY + HOURS_OF_WEEK}f")
_KNOWN = struct.Struct(f"<{HOURS_OF_DAY + HOURS_OF_WEEK}B")
VOLUME_SIZE = _HEAD.size + _COUNTS.size + _MEANS.size + _KNOWN.size


@dataclass(frozen=True, slots=True)
class Usual:
    """The posts that are usual in a quarter of an hour: mean and variance of a forecast."""

    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class Volume:
    """Posts by minute and quarter, the newest last, and what was learnt. None is a count that nobody knows.

    `means` has the exponentially weighted mean of each hour of the day, then of each hour of the week; `known` says of
    how many quarters each was learnt, up to its memory. They are floats of 32 bits, as they are stored, so that a state
    that was read again goes on with the same numbers. `level` is the mean of all quarters without the hour of the day;
    `dispersion` the weighted mean of (count - mean)^2 / mean, from 1 (as Poisson) upwards when it is used.
    """

    minute: int
    minutes: tuple[int, ...]
    quarters: tuple[int | None, ...]
    level: float
    dispersion: float
    learnt: int
    means: "array[float]"
    known: "array[int]"

    @property
    def posts(self) -> int:
        """Posts created in the last 15 minutes, as far as they have been found."""
        return sum(self.minutes)


def begin_volume(now_us: int) -> Volume:
    """The volume of a subreddit at its first observation. The current quarter is known in part only, so not at all."""
    size = HOURS_OF_DAY + HOURS_OF_WEEK
    return Volume(
        minute=now_us // MINUTE_US,
        minutes=(0,) * WINDOW_MINUTES,
        quarters=(None,) * OPEN_QUARTERS,
        level=0.0,
        dispersion=1.0,
        learnt=0,
        means=array("f", [0.0] * size),
        known=array("B", [0] * size),
    )


def advance(volume: Volume, now_us: int) -> Volume:
    """The volume when the newest observation is of `now_us`, which is not before the one until now."""
    minute = now_us // MINUTE_US
    passed = minute - volume.minute
    if passed <= 0:
        return volume
    minutes = (volume.minutes + (0,) * min(passed, WINDOW_MINUTES))[-WINDOW_MINUTES:]
    newest = volume.minute // WINDOW_MINUTES
    opened = minute // WINDOW_MINUTES - newest
    volume = replace(volume, minute=minute, minutes=minutes)
    if not opened:
        return volume
    if opened <= OPEN_QUARTERS:
        fresh: tuple[int | None, ...] = (0,) * opened
    else:
        # Nothing was observed for longer than posts may be late: the last quarter before and all since are not known.
        volume = replace(volume, quarters=(*volume.quarters[:-1], None))
        fresh = (None,) * (OPEN_QUARTERS - 1) + (0,)
    closing = volume.quarters[: min(opened, OPEN_QUARTERS)]
    first = newest - OPEN_QUARTERS + 1
    quarters = (volume.quarters + fresh)[-OPEN_QUARTERS:]
    if any(count is not None for count in closing):
        volume = _learn(volume, first, closing)
    return replace(volume, quarters=quarters)


def count_post(volume: Volume, created_us: int) -> Volume:
    """The volume with one more post. One that is older than the open quarters changes nothing."""
    minute = min(created_us // MINUTE_US, volume.minute)
    quarters = volume.quarters
    place = OPEN_QUARTERS - 1 - (volume.minute // WINDOW_MINUTES - minute // WINDOW_MINUTES)
    if place >= 0 and (count := quarters[place]) is not None:
        quarters = (*quarters[:place], min(count + 1, _MOST_COUNT), *quarters[place + 1 :])
    minutes = volume.minutes
    place = WINDOW_MINUTES - 1 - (volume.minute - minute)
    if place >= 0:
        minutes = (*minutes[:place], min(minutes[place] + 1, _MOST_COUNT), *minutes[place + 1 :])
    return replace(volume, minutes=minutes, quarters=quarters)


def is_in_window(volume: Volume, created_us: int) -> bool:
    """Whether a post created then belongs to the last 15 minutes."""
    return created_us // MINUTE_US > volume.minute - WINDOW_MINUTES


def usual(volume: Volume, at_minute: int) -> Usual:
    """What is usual in the quarter of an hour around a minute (since 1970)."""
    return _usual(volume.level, volume.dispersion, volume.learnt, volume.means, volume.known, at_minute // 60)


def _usual(
    level: float, dispersion: float, learnt: int, means: "array[float]", known: "array[int]", hour: int
) -> Usual:
    of_day = hour % HOURS_OF_DAY
    of_week = HOURS_OF_DAY + (hour + _EPOCH_HOUR) % HOURS_OF_WEEK
    days, weeks = known[of_day], known[of_week]
    day = (days * means[of_day] + DAY_PRIOR * level * shipped().activity[of_day]) / (days + DAY_PRIOR)
    week = (weeks * means[of_week] + WEEK_PRIOR * day) / (weeks + WEEK_PRIOR)
    mean = max(week, LEAST_MEAN)
    # The mean itself is an estimate, from about as many quarters as these weights say.
    behind = weeks + WEEK_PRIOR * (days + DAY_PRIOR * min(learnt / 96.0, 1.0)) / (days + DAY_PRIOR)
    return Usual(mean, max(dispersion, 1.0) * mean * (1.0 + 1.0 / max(behind, 1.0)))


def _learn(volume: Volume, first_quarter: int, counts: tuple[int | None, ...]) -> Volume:
    """Learn the counts of consecutive quarters, the oldest first."""
    means, known = volume.means[:], volume.known[:]
    level, dispersion, learnt = volume.level, volume.dispersion, volume.learnt
    for quarter, count in enumerate(counts, first_quarter):
        if count is None:
            continue
        hour = quarter // 4
        value = float(count)
        if learnt >= 96:
            expected = _usual(level, dispersion, learnt, means, known, hour)
            value = min(value, expected.mean + LEARNT_SIGMAS * expected.variance**0.5 + 1.0)
            dispersion += ((value - expected.mean) ** 2 / expected.mean - dispersion) / ALL_MEMORY
        learnt += 1
        of_day = hour % HOURS_OF_DAY
        of_week = HOURS_OF_DAY + (hour + _EPOCH_HOUR) % HOURS_OF_WEEK
        level += (value / shipped().activity[of_day] - level) / min(learnt, ALL_MEMORY)
        for place, memory in ((of_day, DAY_MEMORY), (of_week, WEEK_MEMORY)):
            known[place] = min(known[place] + 1, memory)
            means[place] += (value - means[place]) / known[place]
    return replace(volume, level=level, dispersion=dispersion, learnt=learnt, means=means, known=known)


def encode_volume(volume: Volume) -> bytes:
    """VOLUME_SIZE bytes."""
    quarters = [_UNKNOWN if count is None else count for count in volume.quarters]
    return (
        _HEAD.pack(volume.minute, volume.level, volume.dispersion, volume.learnt)
        + _COUNTS.pack(*volume.minutes, *quarters)
        + _MEANS.pack(*volume.means)
        + _KNOWN.pack(*volume.known)
    )


def decode_volume(value: bytes) -> Volume:
    """The inverse of encode_volume."""
    minute, level, dispersion, learnt = _HEAD.unpack_from(value)
    counts = _COUNTS.unpack_from(value, _HEAD.size)
    place = _HEAD.size + _COUNTS.size
    return Volume(
        minute=minute,
        minutes=counts[:WINDOW_MINUTES],
        quarters=tuple(None if count == _UNKNOWN else count for count in counts[WINDOW_MINUTES:]),
        level=level,
        dispersion=dispersion,
        learnt=learnt,
        means=array("f", _MEANS.unpack_from(value, place)),
        known=array("B", _KNOWN.unpack_from(value, place + _MEANS.size)),
    )
