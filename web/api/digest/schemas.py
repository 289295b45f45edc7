"""The digest as the API gives it. The schemas describe the answers, which are not validated again."""

import datetime

from pydantic import BaseModel, Field

from signalflow.domain.words import SignalKind, SignalSubject
from web.api.stats.schemas import RankedPost

_MOMENT = "2026-01-06T00:00:00Z"


class DigestSignals(BaseModel):
    """How many signals of each kind began on the day."""

    viral: int = Field(description="Posts that were likely to be among the best 1 % of their subreddit.", examples=[41])
    unusual_here: int = Field(description="Times that a post or a subreddit was unusual.", examples=[63])
    burst: int = Field(description="Times that a term was in far more titles than before.", examples=[7])


class DigestSignal(BaseModel):
    """A signal that began on the day. `/api/signals/{id}/` has all of it."""

    id: str = Field(description="Its id.", examples=["viral-1abc2d"])
    kind: SignalKind = Field(description="As in `/api/signals/`.")
    subject_kind: SignalSubject = Field(description="What it is about.", examples=["post"])
    subject: str = Field(description="A post's id, a subreddit's name, or the hash of a term.", examples=["1abc2d"])
    subreddit: str | None = Field(description="Where; null when it is not about one subreddit.", examples=["python"])
    started_at: datetime.datetime = Field(description="When it began.", examples=[_MOMENT])
    ended_at: datetime.datetime | None = Field(description="When it ended; null while it goes on.", examples=[None])
    keywords: list[str] = Field(description="What its posts are mostly about, best first.", examples=[["asyncio"]])
    term: str | None = Field(description="The term of a `burst`, as in `/api/signals/`.", examples=[None])
    sentence: str = Field(
        description="All of it in a sentence.",
        examples=["r/python: 12 posts in 15 minutes, 4 times its usual number for a Tuesday night (UTC)."],
    )
    how_sure: str = Field(description="The strength in words.", examples=["73 % likely"])
    why: str = Field(description="The numbers behind it in words; empty when nothing more is known.", examples=[""])


class DigestSubreddit(BaseModel):
    """A subreddit on the day."""

    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    posts: int = Field(description="Posts created on the day.", examples=[310])
    posts_before: int = Field(description="Posts created on the day before.", examples=[280])


class DigestKeyword(BaseModel):
    """A keyword of titles of the day."""

    keyword: str = Field(description="The phrase.", examples=["asyncio"])
    posts: int = Field(description="Posts of the day with it.", examples=[12])
    posts_before: int = Field(description="Posts of the day before with it.", examples=[3])
    subreddits: int = Field(description="In how many subreddits.", examples=[4])


class Digest(BaseModel):
    """What a day was about. The numbers of posts are those of now."""

    day: datetime.date = Field(description="The day, in UTC.", examples=["2026-01-05"])
    start: datetime.datetime = Field(description="When it began.", examples=["2026-01-05T00:00:00Z"])
    end: datetime.datetime = Field(description="When it ended or will end.", examples=[_MOMENT])
    computed_at: datetime.datetime = Field(description="When this was computed.", examples=[_MOMENT])
    posts: int = Field(description="Posts created on the day.", examples=[24500])
    posts_before: int = Field(description="Posts created on the day before.", examples=[23900])
    authors: int = Field(description="Different authors that Reddit names.", examples=[17000])
    average_sentiment: float | None = Field(description="Of titles, -1 to 1; null when unknown.", examples=[0.08])
    covered: float | None = Field(
        description="The share of the time that polls cover, 0 to 1, over all subreddits; null when unknown.",
        examples=[0.998],
    )
    signals: DigestSignals = Field(description="How many signals began.")
    strongest: list[DigestSignal] = Field(
        description="Of each kind the five strongest, of `viral` those with the highest scores; a subject comes once."
    )
    most_upvoted: list[RankedPost] = Field(description="The 10 posts with the highest score, highest first.")
    most_commented: list[RankedPost] = Field(description="The 5 posts with the most comments, most first.")
    subreddits: list[DigestSubreddit] = Field(description="The 10 with the most posts, most first.")
    keywords: list[DigestKeyword] = Field(description="The 15 keywords of the most posts, most first.")
