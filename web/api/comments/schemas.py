"""Comments as the API gives them. The schemas describe the answers, which are written directly from the rows."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from signalflow.domain.mood import MOST_STRETCHES
from signalflow.domain.words import SentimentBasis, SentimentLabel
from signalflow.storage.comment_list import MOST_LEVELS, MOST_REPLIES
from signalflow.storage.search import MOST_SEARCHED_POSTS, SearchMode

_MOMENT = "2026-01-01T12:00:00.031Z"
_NOT_TOLD = "null when no observation told it, as in feeds"


class CommentOut(BaseModel):
    """A comment with its newest numbers. All times are UTC."""

    id: str = Field(description="Reddit's id of the comment, without `t1_`.", examples=["kx1abc"])
    post_id: str = Field(description="The post that it is under, without `t3_`.", examples=["1abc2d"])
    parent_id: str | None = Field(
        description=f"What it answers: a comment (`t1_...`) or the post (`t3_...`); {_NOT_TOLD}.",
        examples=["t3_1abc2d"],
    )
    depth: int | None = Field(
        description="0 for an answer to the post; null unless Reddit's tree of the post was read.", examples=[None]
    )
    subreddit: str = Field(description="Name without `r/`.", examples=["python"])
    author: str | None = Field(description="Null when Reddit names none.", examples=["someuser"])
    body: str | None = Field(
        description="The text; null when it was deleted or removed, or cannot be read.", examples=["I love it"]
    )
    permalink: str | None = Field(
        description="Path of its page on Reddit.", examples=["/r/python/comments/1abc2d/title/kx1abc/"]
    )
    created_utc: datetime = Field(description="Creation, by Reddit.", examples=["2026-01-01T11:00:00Z"])
    first_seen_at: datetime = Field(description="First observation.", examples=["2026-01-01T11:00:03.214Z"])
    observed_at: datetime = Field(description="Newest observation.", examples=[_MOMENT])
    removed_by: str | None = Field(
        description="`deleted` by its author, removed by a `moderator` or by `reddit`, or erased here on `request`; "
        "null while it stands.",
        examples=[None],
    )
    score: int | None = Field(
        description=f"Upvotes minus downvotes; {_NOT_TOLD}, and while Reddit hides it.", examples=[12]
    )
    score_observed_at: datetime | None = Field(
        description="The observation that the score is from: the newest that told one.", examples=[_MOMENT]
    )
    controversiality: int | None = Field(
        description=f"1 when upvotes and downvotes are many and alike, else 0; {_NOT_TOLD}.", examples=[0]
    )
    is_submitter: bool | None = Field(description=f"Whether the author of the post wrote it; {_NOT_TOLD}.")
    distinguished: str | None = Field(
        description="`moderator` or `admin` where its author speaks as such; null otherwise, or when not told.",
        examples=[None],
    )
    stickied: bool | None = Field(description=f"Whether moderators pinned it; {_NOT_TOLD}.", examples=[False])
    edited_at: datetime | None = Field(description="Last edit of the text; null when none is known.", examples=[None])
    sentiment_score: float | None = Field(
        description="VADER's compound score of the text, -1 to 1; null without a text, and if it is not English.",
        examples=[0.6369],
    )
    sentiment_label: SentimentLabel | None = Field(
        description="`positive` from 0.05, `negative` from -0.05.", examples=["positive"]
    )
    sentiment_basis: SentimentBasis | None = Field(
        description="What was scored, as for posts; null without a text.", examples=["as_written"]
    )
    num_replies: int = Field(description="How many of its direct answers are stored.", examples=[2])


class CommentNode(CommentOut):
    """A comment with what answers it."""

    replies: list["CommentNode"] = Field(
        description=f"Its answers, in the same order. A page has at most {MOST_REPLIES:,} of them, down to level "
        f"{MOST_LEVELS}; `num_replies` shows where some are left out."
    )


_NEXT = "`cursor` of the next page, with the same other parameters; null on the last page."


class FlatComments(BaseModel):
    """A page of the comments of a post."""

    view: Literal["flat"] = Field(description="Every comment by itself.")
    items: list[CommentOut] = Field(description="The comments.")
    next: str | None = Field(description=_NEXT, examples=[None])


class CommentTrees(BaseModel):
    """A page of the comments of a post, each with what answers it."""

    view: Literal["tree"] = Field(description="Answers stand within what they answer.")
    items: list[CommentNode] = Field(
        description="Answers to the post, and comments of which is not known what they answer."
    )
    next: str | None = Field(description=_NEXT, examples=[None])


class MoodStretch(BaseModel):
    """The comments of a post that were written in one stretch of time and have a sentiment."""

    bucket: datetime = Field(description="Its beginning.", examples=["2026-01-01T12:00:00Z"])
    count: int = Field(description="How many comments.", examples=[7])
    mean: float = Field(description="Mean of their VADER scores, -1 to 1.", examples=[0.21])


class Mood(BaseModel):
    """The sentiment of the comments of a post over time."""

    id: str = Field(description="The post, without `t3_`.", examples=["1abc2d"])
    step_seconds: int | None = Field(
        description=f"Length of a stretch: the shortest of some usual ones that gives at most {MOST_STRETCHES}, or a "
        "year; null when no comment has a sentiment.",
        examples=[900],
    )
    items: list[MoodStretch] = Field(description="The stretches.")


class CommentList(BaseModel):
    """A page of comments, newest first."""

    items: list[CommentOut] = Field(description="The comments.")
    next: str | None = Field(description=_NEXT, examples=[None])
    search: SearchMode | None = Field(
        description="How `q` was looked up, as for posts; a piece of text is looked for in the newest "
        f"{MOST_SEARCHED_POSTS:,} comments. Null without `q`.",
        examples=[None],
    )
