"""Posts as the API gives them. The schemas describe the answers, which are written directly from the rows."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from signalflow.domain.words import SentimentBasis, SentimentLabel
from signalflow.storage.search import MOST_SEARCHED_POSTS, SearchMode

TREND_VELOCITY = (
    "Score per second since an observation that is `trend_window` seconds older, or somewhat more; since the first one "
    "of a post that was younger when it was first seen. 0 when the score changed by no more than the noise of Reddit's "
    "votes, the larger of 2 points and 2 %; null when unknown."
)
Velocity = Annotated[float | None, Field(examples=[1.25])]
_MOMENT = "2026-01-01T12:00:00.031Z"


class Nlp(BaseModel):
    """What the title says. All is null, and keywords are empty, until the features are stored."""

    sentiment_score: float | None = Field(description="VADER's compound score of the title, -1 to 1.", examples=[0.729])
    sentiment_label: SentimentLabel | None = Field(
        description="`positive` from 0.05, `negative` from -0.05.", examples=["positive"]
    )
    sentiment_basis: SentimentBasis | None = Field(
        description="What was scored: the title `as_written`, or with `folded_apostrophes` (’ as '). `not_english`: "
        "VADER knows English only, so score and label are null.",
        examples=["as_written"],
    )
    keywords: list[str] = Field(
        description="Phrases of the title that say most, best first.", examples=[["stable diffusion 3"]]
    )
    topic_cluster: str | None = Field(
        description="The topic of the posts that tell the same: the id of its first post. Null until that was "
        "looked for, which takes seconds, and for a title that says nothing.",
        examples=["1abc2d"],
    )


class CommentSentiment(BaseModel):
    """What the comments of a post say together."""

    count: int = Field(description="How many of its stored comments have a sentiment.", examples=[56])
    mean: float = Field(description="Mean of their VADER scores, -1 to 1.", examples=[0.21])


class PostOut(BaseModel):
    """A post with its newest numbers. All times are UTC."""

    id: str = Field(description="Reddit's id of the post, without `t3_`.", examples=["1abc2d"])
    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    author: str | None = Field(description="Null when Reddit names none.", examples=["someuser"])
    title: str = Field(
        description="The newest title; empty for a post that was taken away.", examples=["Stable Diffusion 3 is out"]
    )
    url: str | None = Field(description="What the post links to.", examples=["https://example.org/sd3"])
    permalink: str | None = Field(
        description="Path of its page on Reddit.", examples=["/r/python/comments/1abc2d/stable_diffusion/"]
    )
    flair: str | None = Field(description="Its label within the subreddit.", examples=["News"])
    over_18: bool | None = Field(
        description="Whether Reddit marks it as for adults; null when no observation told it.", examples=[False]
    )
    is_self: bool | None = Field(
        description="Whether it is a text post; null when no observation told it.", examples=[False]
    )
    created_utc: datetime = Field(description="Creation, by Reddit.", examples=["2026-01-01T11:00:00Z"])
    first_seen_at: datetime = Field(description="First observation.", examples=["2026-01-01T11:00:03.214Z"])
    last_polled_at: datetime = Field(description="Newest observation.", examples=[_MOMENT])
    observed_at: datetime = Field(
        description="The same as `last_polled_at`, under the name that the live stream uses.", examples=[_MOMENT]
    )
    edited_at: datetime | None = Field(description="Last edit of the text.", examples=[None])
    removed_by: str | None = Field(
        description="Who took it away, in Reddit's words: `deleted` (its author), `moderator`, `automod_filtered`, "
        "`reddit` and others; `other` for a word that is not known. `request`: somebody asked to erase it here. Null "
        "while it stands.",
        examples=[None],
    )
    erased_until: datetime | None = Field(
        description="What was observed of its text and author until then is erased: it was taken away then, or (in "
        "the year 9999) its erasure was asked for. Null when nothing was erased.",
        examples=[None],
    )
    not_shown_since: datetime | None = Field(
        description="Since when Reddit's answers leave it out, as after a ban of its subreddit; null while shown.",
        examples=[None],
    )
    current_score: int | None = Field(
        description="Upvotes minus downvotes; null when no observation told it, as in feeds.", examples=[1234]
    )
    current_comments: int | None = Field(
        description="Number of comments; null when no observation told it, as in feeds.", examples=[56]
    )
    score_observed_at: datetime = Field(
        description="The observation that score, ratio, velocities and trending score are from: the newest that told "
        "a score.",
        examples=[_MOMENT],
    )
    details_observed_at: datetime = Field(
        description="The observation that the number of comments, flags, flair and link are from: the newest that "
        "told them.",
        examples=[_MOMENT],
    )
    current_ratio: float | None = Field(description="Share of upvotes, 0 to 1.", examples=[0.97])
    score_velocity: Velocity = Field(description="Score per second since the observation before; null when unknown.")
    comment_velocity: Velocity = Field(
        description="Comments per second since the observation before; null when unknown."
    )
    trend_velocity: Velocity = Field(description=TREND_VELOCITY)
    trending_score: float = Field(description="0 to 1, in tenths.", examples=[0.6])
    is_trending: bool = Field(description="Whether the trending score reaches the threshold.")
    engagement_score: int | None = Field(
        description="`current_score + 2 * current_comments`; null without these.", examples=[1346]
    )
    age_minutes: float = Field(
        description="Minutes from creation to the instant that the page is computed for; 0 for a post of the future.",
        examples=[60.5],
    )
    momentum: float | None = Field(
        description="`engagement_score / (age_minutes + 1)`; null without these.", examples=[21.89]
    )
    nlp: Nlp = Field(description="What the title says.")


class PostPage(BaseModel):
    """A page of posts in the order that was asked for."""

    items: list[PostOut] = Field(description="The posts.")
    next: str | None = Field(
        description="`cursor` of the next page, with the same order and filters; null on the last page.",
        examples=["eyJvIjoibmV3ZXN0In0"],
    )
    search: SearchMode | None = Field(
        description="How `q` was looked up: `english`, in any form of its words; `simple`, as written, because English "
        "leaves out all of its words; `substring`, as a piece of text, because it has no word. A piece of text is "
        f"looked for in the newest {MOST_SEARCHED_POSTS:,} posts. Null without `q`.",
        examples=[None],
    )


class PostDetail(PostOut):
    """One post, with its text where kept."""

    body: str | None = Field(
        description="The text of a text post, in Reddit's Markdown; null when there is none or it has not been seen.",
        examples=["Weights and paper are on the project's page."],
    )
    text_observed_at: datetime | None = Field(
        description="The observation that the text is from; null: none carried it yet.", examples=[_MOMENT]
    )
    topic_posts: int | None = Field(
        description="Posts that its topic has, with this one; null when it has none, or it ended with this post alone.",
        examples=[4],
    )
    comment_sentiment: CommentSentiment | None = Field(
        description="Sentiment of the comments, beside that of the title in `nlp`; null when no comment has one. "
        "Comments are read of subreddits whose comments are followed."
    )


class Observation(BaseModel):
    """What was seen of a post at one moment."""

    observed_at: datetime = Field(description="When Reddit's answer arrived.", examples=[_MOMENT])
    score: int = Field(description="Upvotes minus downvotes.", examples=[1234])
    num_comments: int = Field(description="Number of comments.", examples=[56])
    upvote_ratio: float | None = Field(description="Share of upvotes, 0 to 1.", examples=[0.97])
    score_velocity: Velocity = Field(description="Score per second since the observation before; null when unknown.")
    comment_velocity: Velocity = Field(
        description="Comments per second since the observation before; null when unknown."
    )
    trend_velocity: Velocity = Field(description=TREND_VELOCITY)


class RankOut(BaseModel):
    """The place that a post had in a listing by rank at one moment."""

    observed_at: datetime = Field(description="When Reddit's answer arrived.", examples=[_MOMENT])
    post_sort: str = Field(description="`hot`, `rising` or `top:` with its period.", examples=["hot"])
    listing: str = Field(description="The subreddit whose listing it is, in lower case.", examples=["python"])
    rank: int = Field(description="Its place; 1 is the top.", examples=[3])


class Hour(BaseModel):
    """What was seen of a post within one hour."""

    bucket: datetime = Field(description="Start of the hour, UTC.", examples=["2026-01-01T12:00:00Z"])
    observations: int = Field(description="How many there were.", examples=[12])
    min_score: int = Field(description="Lowest score.", examples=[900])
    max_score: int = Field(description="Highest score.", examples=[1234])
    avg_score: float = Field(description="Mean score of the observations.", examples=[1071.5])
    max_comments: int = Field(description="Most comments.", examples=[56])
    max_score_velocity: Velocity = Field(description="Highest score per second; null when none is known.")
    max_comment_velocity: Velocity = Field(description="Highest comments per second; null when none is known.")


class RawHistory(BaseModel):
    """A page of a post's observations, oldest first."""

    id: str = Field(description="The post.", examples=["1abc2d"])
    interval: Literal["raw"] = Field(description="Every observation.")
    items: list[Observation] = Field(description="Oldest first.")
    ranks: list[RankOut] = Field(
        description="Its ranks in listings by rank within the time of this page, oldest first. A rank is told when it "
        "changes, and every half hour."
    )
    next: str | None = Field(description="`cursor` of the page after this one; null on the last page.", examples=[None])


class HourlyHistory(BaseModel):
    """A page of a post's hours, oldest first; hours without an observation are missing."""

    id: str = Field(description="The post.", examples=["1abc2d"])
    interval: Literal["1h"] = Field(description="By hour.")
    items: list[Hour] = Field(description="Oldest first.")
    next: str | None = Field(description="`cursor` of the page after this one; null on the last page.", examples=[None])
