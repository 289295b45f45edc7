"""Subreddits that nobody watches yet: posts that rise in them, and which of them Reddit calls popular. Pure."""

from datetime import datetime
from typing import NamedTuple

# The listing of all subreddits that Reddit shows to everybody, by rank.
POPULAR = "popular"
POPULAR_SORTS = ("rising", "hot")
# The largest subreddits stay the same for days.
SUBREDDITS_EVERY = 3600.0


class RisingPost(NamedTuple):
    """A post of a subreddit that is not watched, and its rank in a listing of r/popular."""

    id: str
    subreddit: str
    post_sort: str
    rank: int
    seen_at: datetime


class PopularSubreddit(NamedTuple):
    """A subreddit, and its rank in Reddit's list of popular subreddits; 1 is the top."""

    name: str
    rank: int
