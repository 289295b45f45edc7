"""Statistics of the posts created within a window."""

from datetime import datetime

from pydantic import BaseModel, Field

from signalflow.storage.search import SearchMode

_POSTS = Field(description="Number of posts.", examples=[120])
_TOTAL_SCORE = Field(
    description="Sum of the current scores that are known; null when there are posts and no score is known.",
    examples=[4500],
)
_TOTAL_COMMENTS = Field(
    description="Sum of the current numbers of comments that are known; null when there are posts and none is known.",
    examples=[1200],
)
_AVERAGE_SCORE = Field(description="Mean current score; null when no score is known.", examples=[37.5])
_AVERAGE_SENTIMENT = Field(
    description="Mean sentiment of the titles, -1 to 1; null when no sentiment is known.", examples=[0.12]
)
_TRENDING = Field(description="Posts that are trending.", examples=[4])


class Overview(BaseModel):
    """Totals and means over the window."""

    posts: int = _POSTS
    authors: int = Field(
        description="Number of different authors; posts without an author are not counted.", examples=[98]
    )
    subreddits: int = Field(description="Number of different subreddits.", examples=[31])
    trending: int = _TRENDING
    took_off: int = Field(description="Posts with a signal `viral`, which may have ended.", examples=[2])
    unusual: int = Field(description="Posts with a signal `unusual_here`, which may have ended.", examples=[3])
    total_score: int | None = _TOTAL_SCORE
    total_comments: int | None = _TOTAL_COMMENTS
    average_score: float | None = _AVERAGE_SCORE
    average_comments: float | None = Field(
        description="Mean number of comments; null when none is known.", examples=[10.0]
    )
    average_sentiment: float | None = _AVERAGE_SENTIMENT


class RankedPost(BaseModel):
    """A post of a ranking."""

    id: str = Field(description="Reddit's id of the post.", examples=["1abc2d"])
    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    author: str | None = Field(description="Null when Reddit names no author.", examples=["someuser"])
    title: str = Field(description="The newest title.", examples=["Stable Diffusion 3 is out"])
    permalink: str | None = Field(description="Path of its page on Reddit.", examples=["/r/python/comments/1abc2d/x/"])
    created_utc: datetime = Field(
        description="When the post was created, according to Reddit.", examples=["2026-01-01T11:00:00Z"]
    )
    current_score: int | None = Field(
        description="Upvotes minus downvotes; null when no observation told it, as in feeds.", examples=[1234]
    )
    current_comments: int | None = Field(
        description="Number of comments; null when no observation told it, as in feeds.", examples=[56]
    )
    score_velocity: float | None = Field(
        description="Score per second since the observation before; null when unknown.", examples=[1.25]
    )
    trend_velocity: float | None = Field(
        description="Score per second over the trend window; null when unknown.", examples=[1.25]
    )
    engagement_score: int | None = Field(
        description="`current_score + 2 * current_comments`; null without these.", examples=[1346]
    )
    age_minutes: float = Field(description="Minutes from creation to `computed_at`, at least 0.", examples=[60.5])


class RankedAuthor(BaseModel):
    """An author, ranked by the engagement of all their posts of the window."""

    author: str = Field(description="Name without `u/`.", examples=["someuser"])
    posts: int = _POSTS
    total_score: int | None = _TOTAL_SCORE
    total_comments: int | None = _TOTAL_COMMENTS
    engagement_score: int | None = Field(
        description="Sum of the engagement scores that are known; null when none is known.", examples=[6900]
    )


class SubredditShare(BaseModel):
    """The posts of one subreddit within the window."""

    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    posts: int = _POSTS
    trending: int = _TRENDING
    total_score: int | None = _TOTAL_SCORE
    total_comments: int | None = _TOTAL_COMMENTS
    average_score: float | None = _AVERAGE_SCORE
    average_sentiment: float | None = _AVERAGE_SENTIMENT


class TimelineHour(BaseModel):
    """The posts created within one hour."""

    hour: datetime = Field(description="Start of the hour, UTC.", examples=["2026-01-01T12:00:00Z"])
    posts: int = _POSTS
    trending: int = _TRENDING
    total_score: int | None = _TOTAL_SCORE
    total_comments: int | None = _TOTAL_COMMENTS
    average_sentiment: float | None = _AVERAGE_SENTIMENT


class KeywordCount(BaseModel):
    """How many posts have a keyword in their title."""

    keyword: str = Field(description="The phrase.", examples=["stable diffusion 3"])
    posts: int = _POSTS
    average_score: float | None = _AVERAGE_SCORE
    average_sentiment: float | None = _AVERAGE_SENTIMENT


class SentimentBin(BaseModel):
    """Posts whose sentiment lies in [lower, upper); the last bin includes 1."""

    lower: float = Field(description="Lower end.", examples=[0.0])
    upper: float = Field(description="Upper end.", examples=[0.1])
    posts: int = _POSTS


class SentimentDistribution(BaseModel):
    """The sentiment of the titles."""

    positive: int = Field(description="Posts labelled positive.", examples=[40])
    neutral: int = Field(description="Posts labelled neutral.", examples=[60])
    negative: int = Field(description="Posts labelled negative.", examples=[20])
    unknown: int = Field(description="Posts that are not English, or whose features are not stored yet.", examples=[0])
    bins: list[SentimentBin] = Field(description="All 20 bins from -1 to 1, each 0.1 wide; empty bins are included.")


class AgeBin(BaseModel):
    """Posts of one age, in whole hours."""

    age_hours: int = Field(description="Whole hours from creation to `computed_at`, at least 0.", examples=[3])
    posts: int = _POSTS
    average_engagement: float | None = Field(
        description="Mean engagement score; null when no score is known.", examples=[61.0]
    )
    highest_engagement: int | None = Field(description="Highest engagement score; null likewise.", examples=[1346])


class VelocityBin(BaseModel):
    """Posts whose trend velocity lies in [lower, upper). A bound that is null does not limit."""

    lower: float | None = Field(description="Lower end, score per second; inclusive.", examples=[0.1])
    upper: float | None = Field(description="Upper end, score per second; exclusive.", examples=[1.0])
    posts: int = _POSTS


class PostStats(BaseModel):
    """Statistics of the posts created from `start` to `end`."""

    start: datetime = Field(description="Start of the window, inclusive.", examples=["2026-01-01T00:00:00Z"])
    end: datetime = Field(description="End of the window, exclusive.", examples=["2026-01-02T00:00:00Z"])
    computed_at: datetime = Field(
        description="When the statistics were computed; answers are cached for 30 s.", examples=["2026-01-02T00:00:00Z"]
    )
    search: SearchMode | None = Field(description="How the words of `q` were looked up; null without `q`.")
    overview: Overview = Field(description="Totals and means over the window.")
    most_upvoted: list[RankedPost] = Field(description="The 10 posts with the highest score, highest first.")
    most_commented: list[RankedPost] = Field(description="The 10 posts with the most comments, most first.")
    top_posts: list[RankedPost] = Field(description="The 10 posts with the highest engagement, highest first.")
    top_authors: list[RankedAuthor] = Field(description="The 10 authors with the highest engagement, highest first.")
    subreddits: list[SubredditShare] = Field(description="At most 200 subreddits, most posts first.")
    timeline: list[TimelineHour] = Field(
        description="Every hour of the window, oldest first; an hour without posts has zeros."
    )
    keywords: list[KeywordCount] = Field(
        description="The 30 keywords with the most posts, most first, without general words."
    )
    sentiment: SentimentDistribution = Field(description="The sentiment of the titles.")
    ages: list[AgeBin] = Field(description="Engagement by age, youngest first; at most 168 hours.")
    velocities: list[VelocityBin] = Field(
        description="Posts by trend velocity, slowest first; a post without a known velocity is in no bin."
    )
