"""Keywords of the posts created within a window."""

from datetime import datetime

from pydantic import BaseModel, Field

from signalflow.storage.search import SearchMode
from signalflow.storage.stats import TREND_PARTS


class Keyword(BaseModel):
    """A keyword and numbers over the posts of the window that have it in their title."""

    keyword: str = Field(description="The phrase.", examples=["stable diffusion 3"])
    posts: int = Field(description="Posts of the window with this keyword.", examples=[12])
    posts_before: int = Field(
        description="Posts with this keyword in the preceding window of the same length.", examples=[3]
    )
    trend: list[int] = Field(
        description=f"The posts in each of {TREND_PARTS} equal parts of the window, oldest part first.",
        examples=[[0, 0, 1, 0, 0, 2, 1, 3, 1, 0, 2, 2]],
    )
    subreddits: int = Field(description="Number of different subreddits of these posts.", examples=[4])
    total_score: int | None = Field(
        description="Sum of their current scores that are known; null when none is known.", examples=[4500]
    )
    total_comments: int | None = Field(
        description="Sum of their numbers of comments that are known; null when none is known.", examples=[812]
    )
    average_sentiment: float | None = Field(
        description="Mean sentiment of their titles, -1 to 1; null when no sentiment is known.", examples=[0.31]
    )


class Keywords(BaseModel):
    """The keywords of the posts created within a window."""

    start: datetime = Field(description="Start of the window, inclusive.", examples=["2026-01-01T00:00:00Z"])
    end: datetime = Field(
        description="End of the window, exclusive; when the keywords were computed if none was given.",
        examples=["2026-01-02T00:00:00Z"],
    )
    search: SearchMode | None = Field(description="How the words of `q` were looked up; null without `q`.")
    items: list[Keyword] = Field(description="The keywords, most posts first.")
