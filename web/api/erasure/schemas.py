"""Erasure as the API tells it."""

from datetime import datetime

from pydantic import BaseModel, Field


class Erasure(BaseModel):
    """How much was erased, and how long it took from when a post or comment was seen as taken away."""

    posts: int = Field(description="Posts whose text was erased so far, of those that came back too.", examples=[1812])
    comments: int = Field(description="Comments, in the same way.", examples=[431])
    untold: int = Field(
        description="Posts and comments that were erased on request, and of which topics and the live stream are not "
        "told yet. The worker that polls does it within seconds.",
        examples=[0],
    )
    newest: datetime | None = Field(
        description="When the database last erased one of them; null when it never did.",
        examples=["2026-01-01T12:00:05Z"],
    )
    posts_of_last_day: int = Field(
        description="Posts of the last 24 hours that were erased because they were taken away.", examples=[96]
    )
    comments_of_last_day: int = Field(description="Comments, in the same way.", examples=[22])
    median_lag_seconds: float | None = Field(
        description="Median time of both from the observation to the erasure; null without any.", examples=[1.4]
    )
    longest_lag_seconds: float | None = Field(description="Longest time of both; null without any.", examples=[6.2])
    sweep_began_at: datetime | None = Field(
        description="When the present round of checks of posts older than two days began; null before the first.",
        examples=["2026-01-01T06:00:00Z"],
    )
    sweep_ended_at: datetime | None = Field(
        description="When the last whole round ended; null before the first end.", examples=["2026-01-01T05:59:55Z"]
    )
    comment_sweep_began_at: datetime | None = Field(
        description="When the present round of checks of comments older than a day began; null before the first.",
        examples=["2026-01-01T06:00:00Z"],
    )
    comment_sweep_ended_at: datetime | None = Field(
        description="When its last whole round ended; null before the first end.", examples=["2026-01-01T05:59:55Z"]
    )
    kafka_days: int = Field(
        description="Days after which no topic has the text any more: retention and a segment.", examples=[7]
    )
