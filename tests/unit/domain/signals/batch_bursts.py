"""Bursts by their definitions, over the whole list of mentions anew for every mention. Slow, and obvious.

It shares no code with signalflow.domain.signals.bursts: hours are floats, chances are one minus a sum of products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log, prod

from signalflow.domain.signals.bursts import Mention

HOUR = 3_600_000_000


@dataclass
class Found:
    """A burst as the definitions tell it. Times in microseconds."""

    start: int
    noticed: int
    observed: int
    expected: float
    peak: int
    peak_at: int
    members: list[str]
    end: int | None = None


def bursts_of(mentions: Sequence[Mention], since: int) -> list[Found]:
    """All bursts of one term, from its mentions in the order of the log."""
    found: list[Found] = []
    for number in range(len(mentions)):
        told = mentions[: number + 1]
        running = found[-1] if found and found[-1].end is None else None
        if running is not None and number:
            close(found, told[:-1], since, newest(told))
        look(found, told, since)
    return found


def newest(told: Sequence[Mention]) -> int:
    """The log time after these mentions."""
    return max(mention.observed_us for mention in told)


def counted(told: Sequence[Mention], since: int) -> dict[str, int]:
    """The posts that count, with their creation: the first mention in time of each."""
    posts: dict[str, int] = {}
    for number, mention in enumerate(told):
        if mention.created_us >= max(since, newest(told[: number + 1]) - 2 * HOUR):
            posts.setdefault(mention.post, mention.created_us)
    return posts


def known(told: Sequence[Mention], since: int, found: Sequence[Found]) -> tuple[float, float]:
    """Posts and hours of the past, with the prior, at the last mention that is not without effect.

    A post in the first six hours of a burst counts a quarter. `found`: all bursts so far.
    """
    until = max(since, newest(told) - 2 * HOUR)
    per_hour = log(2) / 72
    posts = sum(
        exp(-per_hour * (until - at) / HOUR) * (0.25 if is_told_again(at, found) else 1)
        for at in counted(told, since).values()
        if at < until
    )
    return posts + 0.5, (1 - exp(-per_hour * (until - since) / HOUR)) / per_hour + 1


def is_told_again(at: int, found: Sequence[Found]) -> bool:
    """Whether a post was created in the first six hours of the last burst that was noticed while it was in reach."""
    noticed = [burst for burst in found if burst.noticed - 2 * HOUR <= at]
    return bool(noticed) and noticed[-1].start <= at < noticed[-1].start + 6 * HOUR


def chance_of(count: int, posts: float, hours: float) -> float:
    """P(N >= count - 1) of a negative binomial with the mean posts / hours and the shape min(posts, 5)."""
    shape = min(posts, 5.0)
    miss = shape / (shape + posts / hours)
    terms = (
        miss**shape * (1 - miss) ** k * prod((shape + i) / (i + 1) for i in range(k)) for k in range(max(count - 1, 0))
    )
    return 1 - sum(terms)


def window(times: Sequence[int]) -> list[int]:
    """The creations in the hour that ends with the newest one."""
    return sorted(at for at in times if at > max(times) - HOUR)


def recent(told: Sequence[Mention], since: int) -> list[int]:
    """The creations within two hours before the log time."""
    return [at for at in counted(told, since).values() if at >= newest(told) - 2 * HOUR]


def close(found: Sequence[Found], told: Sequence[Mention], since: int, now: int) -> None:
    """End the last burst when the hour has too few posts."""
    running = found[-1]
    posts, hours = known(told, since, found)
    least = ceil(max(2, 1.5 * posts / hours))
    times = sorted(recent(told, since))
    end = max(running.peak_at, times[-least] + HOUR if len(times) >= least else 0)
    if end <= now:
        running.end = end


def look(found: list[Found], told: Sequence[Mention], since: int) -> None:
    """Let the last mention start a burst, or be a part of one."""
    new, before = told[-1], counted(told[:-1], since)
    if new.post in before or new.post not in counted(told, since):
        return
    times = window(recent(told, since))
    running = found[-1] if found and found[-1].end is None else None
    if running is not None:
        if new.created_us >= running.start:
            running.members.append(new.post)
            if len(times) > running.peak:
                running.peak, running.peak_at = len(times), times[-1]
        return
    posts, hours = known(told, since, found)
    rested = not found or newest(told) >= (found[-1].end or 0) + 2 * HOUR
    enough = len(times) >= max(4, 3 * posts / hours)
    if rested and enough and new.created_us >= times[0] and chance_of(len(times), posts, hours) <= 1e-4:
        at = counted(told, since)
        members = [post for post in sorted(at, key=lambda post: (at[post], post)) if at[post] >= times[0]]
        found.append(Found(times[0], newest(told), len(times), posts / hours, len(times), times[-1], members))
