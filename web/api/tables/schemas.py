"""The live state of a post, from the worker that owns it."""

from datetime import datetime

from pydantic import BaseModel, Field


class StateObservation(BaseModel):
    """One of the observations that the state keeps."""

    observed_at: datetime = Field(description="When Reddit's answer arrived.", examples=["2026-01-01T12:00:00.031Z"])
    score: int = Field(description="Upvotes minus downvotes.", examples=[1234])
    num_comments: int = Field(description="Number of comments.", examples=[56])


class PostState(BaseModel):
    """The state of a post in the stream processor at this moment. It is often newer than the database."""

    id: str = Field(description="Reddit's id of the post.", examples=["1abc2d"])
    created_utc: datetime = Field(
        description="When the post was created, according to Reddit.", examples=["2026-01-01T11:00:00Z"]
    )
    first_seen_at: datetime = Field(
        description="When the post was first observed.", examples=["2026-01-01T11:00:03.214Z"]
    )
    observations: list[StateObservation] = Field(description="The newest 8 and some older ones, oldest first.")
