"""Topic clusters as the API gives them. The schemas describe the answers, which are not validated again."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

_MOMENT = "2026-01-06T23:10:04.214Z"


class TopicSubreddit(BaseModel):
    """A subreddit, and how many posts of a cluster it has."""

    subreddit: str = Field(description="Name without `r/`.", examples=["news"])
    posts: int = Field(description="Posts of the cluster there.", examples=[4])


class TopPost(BaseModel):
    """The post of a cluster that has the highest score."""

    id: str = Field(description="Reddit's id of the post, without `t3_`.", examples=["1abc2d"])
    title: str = Field(description="The newest title.")
    subreddit: str = Field(description="Name without `r/`.", examples=["news"])
    permalink: str | None = Field(description="Path of its page on Reddit.")
    current_score: int | None = Field(description="Upvotes minus downvotes; null when unknown.", examples=[480])


class TopicOut(BaseModel):
    """Posts that tell the same. All times are UTC."""

    id: str = Field(description="The id of its first post.", examples=["1abc2d"])
    label: list[str] = Field(
        description="The words that weigh most in its titles, the heaviest first.",
        examples=[["supreme", "genes", "court"]],
    )
    size: int = Field(description="Posts that joined it.", examples=[7])
    began_at: datetime = Field(description="When its oldest post was made.", examples=[_MOMENT])
    newest_at: datetime = Field(description="When its newest post was made.", examples=[_MOMENT])
    living: bool = Field(description="Whether posts may still join it: it ends two days after the last one.")
    subreddits: list[TopicSubreddit] = Field(description="Where its posts are, at most 10, those of most posts first.")
    top_post: TopPost | None = Field(description="The post of the highest score; null when none is stored any more.")


class TopicPage(BaseModel):
    """A page of clusters."""

    items: list[TopicOut] = Field(description="Those with the newest post first.")
    next: str | None = Field(
        description="Give it as `cursor` to get the page after this one; null on the last page.", examples=[None]
    )


class TopicPost(BaseModel):
    """A post of a cluster, as it is stored now."""

    id: str = Field(description="Reddit's id of the post, without `t3_`.", examples=["1abc2d"])
    title: str = Field(description="The newest title.")
    subreddit: str = Field(description="Name without `r/`.", examples=["news"])
    author: str | None = Field(description="Name without `u/`; null when unknown.", examples=["someuser"])
    created_utc: datetime = Field(description="Creation, by Reddit.", examples=["2026-01-06T21:08:24Z"])
    current_score: int | None = Field(description="Upvotes minus downvotes; null when unknown.", examples=[480])
    current_comments: int | None = Field(description="Number of comments; null when unknown.", examples=[56])
    permalink: str | None = Field(description="Path of its page on Reddit.")
    url: str | None = Field(description="What the post links to.")
    sentiment_score: float | None = Field(description="Of the title, −1 to 1; null when unknown.", examples=[0.4])
    sentiment_label: Literal["positive", "neutral", "negative"] | None = Field(
        description="The sentiment in a word.", examples=["positive"]
    )
    same_as: str | None = Field(
        description="The first post of this list with the same title or link; null when it is itself the first.",
        examples=[None],
    )


class TopicHour(BaseModel):
    """An hour in which a cluster had posts or comments. A mean is null when no sentiment is known."""

    at: datetime = Field(description="Begin of the hour.", examples=["2026-01-06T23:00:00Z"])
    posts: int = Field(description="Posts that were made.", examples=[3])
    average_sentiment: float | None = Field(description="Mean sentiment of their titles.", examples=[0.1])
    comments: int = Field(description="Stored comments on the listed posts that were made.", examples=[40])
    average_comment_sentiment: float | None = Field(description="Mean sentiment of these comments.", examples=[-0.2])


class TopicDetail(TopicOut):
    """One cluster, with its posts and its hours."""

    posts: list[TopicPost] = Field(description="Those that are stored, the newest first, at most 200.")
    timeline: list[TopicHour] = Field(
        description="The last 14 days of the cluster, oldest hour first; hours without anything are left out."
    )
