"""Posts as the API gives them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from signalflow.storage.feed import FeedPost


class Nlp(BaseModel):
    """What the title says. All are null until the features are stored."""

    sentiment_score: float | None = Field(description="VADER's compound score of the title, -1 to 1.", examples=[0.729])
    sentiment_label: Literal["positive", "neutral", "negative"] | None = Field(
        description="`positive` from 0.05, `negative` from -0.05."
    )
    keywords: list[str] = Field(
        description="Phrases of the title that say most, best first.", examples=[["stable diffusion 3"]]
    )
    topic_cluster: str | None = Field(description="Cluster of posts that tell the same story, when one is known.")


class PostOut(BaseModel):
    """A post with its newest numbers."""

    id: str = Field(description="Reddit's id of the post, without `t3_`.", examples=["1abc2d"])
    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    author: str | None = Field(description="Null when Reddit names none.")
    title: str
    url: str | None = Field(description="What the post links to.")
    permalink: str | None = Field(description="Path of its page on Reddit.")
    flair: str | None
    over_18: bool
    is_self: bool = Field(description="Whether it is a text post.")
    created_utc: datetime
    first_seen_at: datetime = Field(description="First observation.")
    last_polled_at: datetime = Field(description="Newest observation, from which the numbers are.")
    edited_at: datetime | None
    removed_by: str | None = Field(description="Who removed it, as Reddit puts it; null while it stands.")
    current_score: int
    current_comments: int
    current_ratio: float | None = Field(description="Share of upvotes, 0 to 1.")
    score_velocity: float | None = Field(
        description="Score per second since the observation before; null when unknown."
    )
    comment_velocity: float | None = Field(
        description="Comments per second since the observation before; null when unknown."
    )
    trending_score: float = Field(description="0 to 1, in tenths.")
    is_trending: bool
    nlp: Nlp

    @classmethod
    def of(cls, post: FeedPost) -> "PostOut":
        """The post as it goes out; its fields come from our own tables and are not validated again."""
        nlp = {name: getattr(post, name) for name in Nlp.model_fields} | {"keywords": post.keywords or []}
        fields = {name: getattr(post, name) for name in cls.model_fields if name != "nlp"}
        return cls.model_construct(**fields, nlp=Nlp.model_construct(**nlp))


class PostPage(BaseModel):
    """A page of posts, newest first."""

    items: list[PostOut]
    next: str | None = Field(description="Give it as `cursor` to get the page after this one; null on the last page.")
