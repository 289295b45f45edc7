"""Posts that rise in subreddits which nobody watches yet. Pure."""

from datetime import datetime
from typing import NamedTuple

# The listing of all subreddits that Reddit shows to everybody, by rank.
POPULAR = "popular"
POPULAR_SORTS = ("rising", "hot")


class RisingPost(NamedTuple):
    """A post of a subreddit that is not watched, and its rank in a listing of r/popular."""

    id: str
    subreddit: str
    post_sort: str
    rank: int
    seen_at: datetime
