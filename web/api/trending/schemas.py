"""Trending subreddits as the API gives them."""

from datetime import datetime

from pydantic import BaseModel, Field


class TrendingSubredditOut(BaseModel):
    """A subreddit that is not watched, and what Reddit showed of it. What its posts tell is null without a post."""

    name: str = Field(description="Name without `r/`.", examples=["rust"])
    posts: int = Field(description="Posts of it that rose in r/popular.", examples=[4])
    best_rank: int | None = Field(description="The best rank of one of them there; 1 is the top.", examples=[3])
    weight: float = Field(
        description="How strongly it rises: each post counts `1 / log2(1 + its best rank)`.", examples=[1.43]
    )
    popular_rank: int | None = Field(
        description="Its rank in Reddit's list of popular subreddits; null when it is not named there.", examples=[17]
    )
    first_seen_at: datetime | None = Field(
        description="When the first of them was seen.", examples=["2026-01-01T12:00:00Z"]
    )
    last_seen_at: datetime | None = Field(
        description="When one of them was last seen.", examples=["2026-01-01T13:00:00Z"]
    )


class TrendingSubreddits(BaseModel):
    """Subreddits that rise and are not watched."""

    items: list[TrendingSubredditOut] = Field(
        description="The strongest first, of equal ones the more popular. Last come popular ones of which nothing rose."
    )
