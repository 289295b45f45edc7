"""Signals as the API gives them. The schemas describe the answers, which are not validated again."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from signalflow.domain.words import SignalKind, SignalSubject

_MOMENT = "2026-01-06T23:10:04.214Z"


class SignalOut(BaseModel):
    """Something that takes off, or that is unusual where it happens. All times are UTC."""

    id: str = Field(description="The same for as long as the signal lasts.", examples=["viral-1abc2d"])
    kind: SignalKind = Field(
        description="`viral`: a post that will probably be among the best 1 % of its subreddit. `unusual_here`: far "
        "from what is usual in that subreddit. `burst`: in far more titles than before."
    )
    rule_version: int = Field(description="The version of the rule that found it.", examples=[1])
    subject_kind: SignalSubject = Field(description="What it is about.", examples=["post"])
    subject: str = Field(description="A post's id, a subreddit's name, or the hash of a term.", examples=["1abc2d"])
    term: str | None = Field(
        description="Of a term what it is, as long as a post that has it is stored; else null.", examples=[None]
    )
    subreddit: str | None = Field(description="Where; null when it is not about one subreddit.", examples=["python"])
    started_at: datetime = Field(description="When it began.", examples=[_MOMENT])
    peak_at: datetime = Field(description="When it was strongest.", examples=[_MOMENT])
    ended_at: datetime | None = Field(description="When it ended; null while it goes on.", examples=[None])
    changed_at: datetime = Field(description="The observation that last changed it.", examples=[_MOMENT])
    strength: float = Field(
        description="A probability for `viral`; for `unusual_here` standard deviations from what is usual; for `burst` "
        "how many times the expected posts there are.",
        examples=[0.73],
    )
    observed: float = Field(
        description="Of a post its score; of a subreddit the posts of the last 15 minutes; of a term the most posts "
        "that an hour had.",
        examples=[480],
    )
    expected: float = Field(
        description="What `observed` is compared with, in the same unit: what is usual there; for `viral` the score "
        "that the best 1 % of the subreddit reach.",
        examples=[2300],
    )
    post_ids: list[str] = Field(description="The posts behind it, at most 20.", examples=[["1abc2d"]])
    inputs: dict[str, float | None] = Field(
        description="The numbers from which the rule of this version computes the signal again; null where unknown.",
        examples=[{"age_seconds": 7300, "log_odds_velocity": 1.2}],
    )
    keywords: list[str] = Field(
        description="What the posts behind it are mostly about, as they are stored now, best first.",
        examples=[["asyncio"]],
    )
    sentence: str = Field(
        description="All of it in a sentence.",
        examples=[
            "r/python: a post about asyncio with 480 points after 2 hours is 73 % likely to be among the best 1 % of "
            "r/python (2,300 points or more)."
        ],
    )
    how_sure: str = Field(description="The strength in words.", examples=["73 % likely"])
    why: str = Field(
        description="The numbers behind it in words; empty when no more than the sentence is known.",
        examples=["For it: how fast its score rises; against it: the hour of the day."],
    )


class SignalPage(BaseModel):
    """A page of signals."""

    items: list[SignalOut] = Field(description="The latest begun first.")
    next: str | None = Field(
        description="Give it as `cursor` to get the page after this one; null on the last page.", examples=[None]
    )


class SignalPost(BaseModel):
    """A post behind a signal, as it is stored now."""

    id: str = Field(description="Reddit's id of the post, without `t3_`.", examples=["1abc2d"])
    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    title: str = Field(description="The newest title; empty for a post that was taken away.")
    permalink: str | None = Field(description="Path of its page on Reddit.")
    created_utc: datetime = Field(description="Creation, by Reddit.", examples=["2026-01-06T21:08:24Z"])
    current_score: int | None = Field(description="Upvotes minus downvotes; null when unknown.", examples=[480])
    current_comments: int | None = Field(description="Number of comments; null when unknown.", examples=[56])
    removed_by: str | None = Field(description="Who took it away; null while it stands.", examples=[None])
    not_shown_since: datetime | None = Field(
        description="Since when Reddit's answers leave it out; null while shown.", examples=[None]
    )


class SeriesItem(BaseModel):
    """A number around the signal, and what was usual then. What is not known is null."""

    at: datetime = Field(description="Begin of the step; for a score, when it was observed.", examples=[_MOMENT])
    value: float = Field(description="The number.", examples=[480])
    expected: float | None = Field(description="What it is compared with.", examples=[30])
    low: float | None = Field(description="Two standard deviations below.", examples=[4.1])
    high: float | None = Field(description="Two standard deviations above.", examples=[221.7])


class Series(BaseModel):
    """How the number moved, at most 24 hours, oldest first."""

    unit: Literal["posts", "score", "none"] = Field(
        description="`posts`: new posts in 15 minutes. `score`: of the post. `none`: nothing is kept.",
        examples=["score"],
    )
    items: list[SeriesItem] = Field(description="Oldest first.")


class SignalDetail(SignalOut):
    """One signal, with the posts behind it and the numbers around it."""

    posts: list[SignalPost] = Field(description="Those that are stored, highest score first.")
    series: Series = Field(description="What a chart of it shows.")
