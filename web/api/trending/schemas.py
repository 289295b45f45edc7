"""Trending subreddits as the API gives them."""

from datetime import datetime

from pydantic import BaseModel, Field


class TrendingSubredditOut(BaseModel):
    """A subreddit that is not watched, and what r/popular showed of it."""

    name: str = Field(description="Name without `r/`.", examples=["rust"])
    posts: int = Field(description="Posts of it that rose.", examples=[4])
    best_rank: int = Field(description="The best rank of one of them in r/popular; 1 is the top.", examples=[3])
    weight: float = Field(
        description="By this the list is ordered: each post counts `1 / log2(1 + its best rank)`.", examples=[1.43]
    )
    first_seen_at: datetime = Field(description="When the first of them was seen.", examples=["2026-01-01T12:00:00Z"])
    last_seen_at: datetime = Field(description="When one of them was last seen.", examples=["2026-01-01T13:00:00Z"])


class TrendingSubreddits(BaseModel):
    """Subreddits that rise and are not watched."""

    items: list[TrendingSubredditOut] = Field(description="The strongest first.")
