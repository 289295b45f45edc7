"""Facts about this installation that a client needs to explain what it shows."""

from pydantic import BaseModel, Field


class TrendingWeights(BaseModel):
    """What each condition adds to the trending score. Of the two velocities only the higher one that holds counts."""

    velocity_high: float = Field(examples=[0.4])
    velocity_low: float = Field(examples=[0.2])
    sentiment: float = Field(examples=[0.2])
    comments: float = Field(examples=[0.2])


class TrendingRuleOut(BaseModel):
    """When a post is trending. The conditions must be exceeded, the threshold reached."""

    velocity_high: float = Field(description="`trend_velocity`, score per second.", examples=[50.0])
    velocity_low: float = Field(description="`trend_velocity`, score per second.", examples=[10.0])
    trend_window: int = Field(
        description="Seconds, at least, between the two observations that `trend_velocity` compares.", examples=[300]
    )
    sentiment: float = Field(description="Absolute sentiment of the title, 0 to 1.", examples=[0.5])
    comments: int = Field(description="Number of comments.", examples=[100])
    threshold: float = Field(description="Trending score from which a post is trending.", examples=[0.5])
    weights: TrendingWeights


class About(BaseModel):
    """This installation."""

    version: str = Field(description="Version of the program.", examples=["0.1.0"])
    link_base: str | None = Field(
        description="Address to put before a post's `permalink`; null for posts that are not Reddit's.",
        examples=["https://www.reddit.com"],
    )
    live_heartbeat_seconds: float = Field(
        description="The live stream is never silent for longer. Twice as long means a lost connection.",
        examples=[15.0],
    )
    trending_rule: TrendingRuleOut
