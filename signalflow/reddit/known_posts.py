"""The known posts that a poller needs: of all subreddits when it begins, and of those that are added later."""

from collections.abc import Sequence
from datetime import timedelta

from signalflow.domain.known import HORIZON, StoredPost
from signalflow.domain.subreddits import Subreddit
from signalflow.reddit.ports import KnownSource
from signalflow.reddit.reddit_clock import moment

_DAY = 86400.0
# After a longer standstill Reddit's listings no longer reach back to the posts that are known.
OLDEST_DAYS = 60.0


async def latest_posts(source: KnownSource, now: float) -> Sequence[StoredPost]:
    """The posts of the last two days, or of more days if there are none: a gap after a standstill must be seen."""
    days = HORIZON / _DAY
    while not (known := await source.known_posts(moment(now) - timedelta(days=days))) and days < OLDEST_DAYS:
        days *= 2.0
    return known


async def posts_of(source: KnownSource, arriving: Sequence[Subreddit], now: float) -> Sequence[StoredPost]:
    """The posts of added or resumed subreddits, from two days before their last polls on."""
    if not arriving:
        return ()
    polls = (subreddit.polled_at for subreddit in arriving if subreddit.polled_at is not None)
    since = max(min(polls, default=now) - HORIZON, now - OLDEST_DAYS * _DAY)
    return await source.known_posts(moment(since), [subreddit.name.lower() for subreddit in arriving])
