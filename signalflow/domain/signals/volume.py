"""How many posts a subreddit has in a quarter of an hour, and how many it usually has at this hour of the week. Pure.

Posts are counted by their creation. What is usual is learnt from quarters that ended six hours ago: posts that an
outage of our own hid until then are counted in the quarter in which they were made.

Before that, the posts that were there already tell the level of a subreddit. Its listing shows them newest first, so
what was read of them reaches from the oldest one to the beginning without a hole. They are kept apart, as a count for
each hour of the day, which does not depend on the order in which they came.
"""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

from signalflow.domain.signals.priors import shipped

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
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
# An hour of the week counts as if so many of its quarters had been as its hour of the day says. An hour of the day
# counts likewise, as the whole subreddit's level says: at most so many, see SHAPE_ERROR.
DAY_PRIOR, WEEK_PRIOR = 16, 16
# A count above mean + 4 standard deviations is learnt as this limit: a burst must not make the next one look usual,
# and a subreddit that has grown for good is learnt within days.
LEARNT_SIGMAS = 4.0
# A look back reaches from this long before the beginning, at most, until this long before it: a burst that is under way
# then must not make itself usual.
MOST_BACK_MINUTES, RECENT_MINUTES = 48 * 60, 30
# The activity of a subreddit in an hour of the day differs from its level times the shipped one by so large a part, as
# standard deviation. It is an assumption. So an hour of the day counts as if so many of its quarters had been as the
# whole subreddit's level says, that both errors are equal: few, where there are many posts.
SHAPE_ERROR = 0.25
# Until a day of a subreddit was learnt, its counts are taken to vary more: so much at first, and ever less.
COLD_DISPERSION, COLD_QUARTERS = 1.5, 96
# What is usual is not known before so many quarters of an hour were seen. The first page of a busy subreddit's listing
# reaches back so far. How little that is, the variance of the forecast knows.
LEAST_QUARTERS = 8
# A mean is never less certain than that of so many quarters.
LEAST_BEHIND = 0.05
# Fewer posts a quarter than this are not expected anywhere: one post a day is 0.01.
LEAST_MEAN = 0.01
_UNKNOWN = 0xFFFF
_MOST_COUNT = 0xFFFE
_HEAD = struct.Struct("<IddI")
_COUNTS = struct.Struct(f"<{WINDOW_MINUTES + OPEN_QUARTERS}H")
_MEANS = struct.Struct(f"<{HOURS_OF_DAY + HOURS_OF_WEEK}f")
_KNOWN = struct.Struct(f"<{HOURS_OF_DAY + HOURS_OF_WEEK}B")
_BACK = struct.Struct(f"<III{HOURS_OF_DAY}H")
# A volume of version 1 is the same without the look back.
VOLUME_SIZES = {1: _HEAD.size + _COUNTS.size + _MEANS.size + _KNOWN.size}
VOLUME_SIZES[2] = VOLUME_SIZES[1] + _BACK.size


@dataclass(frozen=True, slots=True)
class Usual:
    """The posts that are usual in a quarter of an hour: mean and variance of a forecast."""

    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class LookBack:
    """Posts from before a subreddit was first observed. Times are minutes since 1970, but `read` is a second.

    `began`: the first observation, 0 before it. `oldest`: the creation of the oldest post. `read`: when the last of
    them was observed. `posts`: how many were created in each hour of the day.
    """

    began: int
    oldest: int
    read: int = 0
    posts: tuple[int, ...] = (0,) * HOURS_OF_DAY

    @property
    def until(self) -> int:
        """The minute from which on posts do not count."""
        return self.began - RECENT_MINUTES

    @property
    def quarters(self) -> float:
        """How many quarters of an hour were read."""
        return max(self.until - self.oldest, 0) / WINDOW_MINUTES

    def with_post(self, minute: int, read: int) -> "LookBack":
        """With one more post, created in a minute before the beginning and observed in the second `read`."""
        if not self.began - MOST_BACK_MINUTES <= minute < self.until:
            return replace(self, read=max(self.read, read))
        hour = minute // 60 % HOURS_OF_DAY
        count = min(self.posts[hour] + 1, _MOST_COUNT)
        posts = (*self.posts[:hour], count, *self.posts[hour + 1 :])
        return LookBack(self.began, min(self.oldest, minute), max(self.read, read), posts)

    def told(self) -> "Told":
        """What it says of each hour of the day."""
        quarters, posts = [0.0] * HOURS_OF_DAY, list(self.posts)
        for hour in range(self.oldest // 60, (self.until - 1) // 60 + 1):
            minutes = min(self.until, (hour + 1) * 60) - max(self.oldest, hour * 60)
            quarters[hour % HOURS_OF_DAY] += minutes / WINDOW_MINUTES
        # The oldest post ends the time in which the others came.
        hour = self.oldest // 60 % HOURS_OF_DAY
        posts[hour] = max(posts[hour] - 1, 0)
        usual = sum(part * activity for part, activity in zip(quarters, shipped().activity, strict=True))
        return Told(sum(posts) / usual if usual else 0.0, quarters, posts)


@dataclass(frozen=True, slots=True)
class Told:
    """Of a look back: posts in a quarter of an hour of usual activity; quarters and posts of each hour of the day."""

    level: float
    quarters: Sequence[float]
    posts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Volume:
    """Posts by minute and quarter, the newest last, and what was learnt. None is a count that nobody knows.

    `means` has the exponentially weighted mean of each hour of the day, then of each hour of the week; `known` says of
    how many quarters each was learnt, up to its memory. They are floats of 32 bits, as they are stored, so that a state
    that was read again goes on with the same numbers. `level` is the mean of all `learnt` quarters without the hour of
    the day; `dispersion` the weighted mean of (count - mean)^2 / mean, from 1 (as Poisson) upwards when it is used.
    """

    minute: int
    minutes: tuple[int, ...]
    quarters: tuple[int | None, ...]
    level: float
    dispersion: float
    learnt: int
    means: "array[float]"
    known: "array[int]"
    back: LookBack

    @property
    def quarters_known(self) -> float:
        """How many quarters tell the level: those that were learnt, and those of the look back."""
        return self.learnt + self.back.quarters

    @property
    def posts(self) -> int:
        """Posts created in the last 15 minutes, as far as they have been found."""
        return sum(self.minutes)


def begin_volume(now_us: int) -> Volume:
    """The volume of a subreddit of which nothing is known. The current quarter is known in part only, so not at all."""
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
        back=LookBack(0, 0),
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


def begin_look_back(volume: Volume, now_us: int) -> Volume:
    """The volume when the subreddit is observed for the first time, unless it was before."""
    if volume.back.began:
        return volume
    minute = now_us // MINUTE_US
    return replace(volume, back=LookBack(minute, minute - RECENT_MINUTES))


def is_before(volume: Volume, created_us: int) -> bool:
    """Whether a post was there before the subreddit was first observed."""
    return created_us // MINUTE_US < volume.back.began


def count_before(volume: Volume, created_us: int, observed_us: int) -> Volume:
    """The volume with one more post from before the subreddit was first observed."""
    minute = created_us // MINUTE_US
    back = volume.back.with_post(minute, observed_us // SECOND_US)
    return replace(volume, minutes=_counted(volume, minute), back=back)


def count_post(volume: Volume, created_us: int) -> Volume:
    """The volume with one more post. One that is older than the open quarters changes nothing."""
    minute = min(created_us // MINUTE_US, volume.minute)
    quarters = volume.quarters
    place = OPEN_QUARTERS - 1 - (volume.minute // WINDOW_MINUTES - minute // WINDOW_MINUTES)
    if place >= 0 and (count := quarters[place]) is not None:
        quarters = (*quarters[:place], min(count + 1, _MOST_COUNT), *quarters[place + 1 :])
    return replace(volume, minutes=_counted(volume, minute), quarters=quarters)


def _counted(volume: Volume, minute: int) -> tuple[int, ...]:
    """The minutes of the window with one more post."""
    minutes = volume.minutes
    place = WINDOW_MINUTES - 1 - (volume.minute - minute)
    return minutes if place < 0 else (*minutes[:place], min(minutes[place] + 1, _MOST_COUNT), *minutes[place + 1 :])


def is_in_window(volume: Volume, created_us: int) -> bool:
    """Whether a post created then belongs to the last 15 minutes."""
    return created_us // MINUTE_US > volume.minute - WINDOW_MINUTES


def usual(volume: Volume, at_minute: int) -> Usual:
    """What is usual in the quarter of an hour around a minute (since 1970)."""
    return _usual(volume, volume.back.told(), at_minute // 60)


def _usual(volume: Volume, before: Told, hour: int) -> Usual:
    """`before` is what the look back told."""
    of_day = hour % HOURS_OF_DAY
    of_week = HOURS_OF_DAY + (hour + _EPOCH_HOUR) % HOURS_OF_WEEK
    means, weeks = volume.means, volume.known[of_week]
    still_cold = max(1.0 - volume.learnt / COLD_QUARTERS, 0.0)
    dispersion = max(volume.dispersion, 1.0) + still_cold * (COLD_DISPERSION - 1.0)

    quarters = volume.quarters_known
    level = (volume.learnt * volume.level + volume.back.quarters * before.level) / max(quarters, 1.0)
    by_level = max(level * shipped().activity[of_day], LEAST_MEAN)
    of_level = min(dispersion / (SHAPE_ERROR**2 * by_level), DAY_PRIOR)
    days = volume.known[of_day] + before.quarters[of_day]
    posts = volume.known[of_day] * means[of_day] + before.posts[of_day]
    day = (posts + of_level * by_level) / (days + of_level)
    mean = max((weeks * means[of_week] + WEEK_PRIOR * day) / (weeks + WEEK_PRIOR), LEAST_MEAN)
    # The mean itself is an estimate, from about as many quarters as these weights say.
    behind = weeks + min(days + of_level * min(quarters / 96.0, 1.0), WEEK_PRIOR)
    return Usual(mean, dispersion * mean * (1.0 + 1.0 / max(behind, LEAST_BEHIND)))


def _learn(volume: Volume, first_quarter: int, counts: tuple[int | None, ...]) -> Volume:
    """Learn the counts of consecutive quarters, the oldest first."""
    # These two are the volume's own: nobody else has them.
    means, known = volume.means[:], volume.known[:]
    volume = replace(volume, means=means, known=known)
    before = volume.back.told()
    for quarter, count in enumerate(counts, first_quarter):
        if count is None:
            continue
        hour = quarter // 4
        value = float(count)
        dispersion = volume.dispersion
        if volume.quarters_known >= LEAST_QUARTERS:
            expected = _usual(volume, before, hour)
            value = min(value, expected.mean + LEARNT_SIGMAS * expected.variance**0.5 + 1.0)
            dispersion += ((value - expected.mean) ** 2 / expected.mean - dispersion) / ALL_MEMORY
        learnt = volume.learnt + 1
        of_day = hour % HOURS_OF_DAY
        of_week = HOURS_OF_DAY + (hour + _EPOCH_HOUR) % HOURS_OF_WEEK
        level = volume.level + (value / shipped().activity[of_day] - volume.level) / min(learnt, ALL_MEMORY)
        for place, memory in ((of_day, DAY_MEMORY), (of_week, WEEK_MEMORY)):
            known[place] = min(known[place] + 1, memory)
            means[place] += (value - means[place]) / known[place]
        volume = replace(volume, level=level, dispersion=dispersion, learnt=learnt)
    return volume


def encode_volume(volume: Volume) -> bytes:
    """The bytes of the newest version; VOLUME_SIZES has their number."""
    quarters = [_UNKNOWN if count is None else count for count in volume.quarters]
    back = volume.back
    return (
        _HEAD.pack(volume.minute, volume.level, volume.dispersion, volume.learnt)
        + _COUNTS.pack(*volume.minutes, *quarters)
        + _MEANS.pack(*volume.means)
        + _KNOWN.pack(*volume.known)
        + _BACK.pack(back.began, back.oldest, back.read, *back.posts)
    )


def decode_volume(value: bytes, version: int) -> Volume:
    """The inverse of encode_volume. In version 1 nothing was kept of a look back, so no post is older than that."""
    minute, level, dispersion, learnt = _HEAD.unpack_from(value)
    counts = _COUNTS.unpack_from(value, _HEAD.size)
    back = LookBack(1, 1)
    if version > 1:
        began, oldest, read, *posts = _BACK.unpack_from(value, VOLUME_SIZES[1])
        back = LookBack(began, oldest, read, tuple(posts))
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
        back=back,
    )
