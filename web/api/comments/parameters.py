"""The query parameters of comments."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from signalflow.storage.comment_list import CommentFilters, CommentOrder
from web.api.parameters import LANGUAGE, Asked, CreatedWithin, SubredditName, Text

MOST_COMMENTS_A_PAGE = 200
PageSize = Annotated[int, Field(ge=1, le=MOST_COMMENTS_A_PAGE)]
CursorText = Annotated[str, Field(max_length=4096)]

_CURSOR = "`next` of the page before, with the same other parameters (but `page_size`); without it, the first page."


class DiscussionParameters(BaseModel):
    """How the comments of a post are shown, and which page."""

    view: Literal["flat", "tree"] = Field("tree", description="Answers within what they answer, or each by itself.")
    sort: CommentOrder = Field(
        "best",
        description="`best`: highest score first, unknown scores last; a comment whose score changes meanwhile may "
        "come on two pages or on none. `new` and `old`: by creation.",
    )
    page_size: PageSize = Field(50, description="Comments of a page, in the tree without their answers.")
    cursor: CursorText | None = Field(None, description=_CURSOR)

    def walk(self, post_id: str) -> str:
        """What must stay the same on all pages of a walk, beside the order."""
        return f"{post_id} {self.view}"


class CommentFilterParameters(CreatedWithin):
    """Filters, all of which a comment must meet."""

    subreddit: list[SubredditName] = Field(
        [], max_length=50, description="In one of these subreddits; may be given several times. Case does not matter."
    )
    author: Text | None = Field(None, min_length=1, max_length=64, description="By this author. Case does not matter.")
    q: Asked | None = Field(None, description=f"What the text has: {LANGUAGE}")

    @property
    def filters(self) -> CommentFilters:
        """The filters as storage takes them."""
        return CommentFilters(tuple(self.subreddit), self.author, self.q, self.created_from, self.created_to)


class CommentListParameters(CommentFilterParameters):
    """The filters, and the page."""

    page_size: PageSize = Field(50, description="Comments of a page.")
    cursor: CursorText | None = Field(None, description=_CURSOR)

    @property
    def walk(self) -> str:
        """What must stay the same on all pages of a walk."""
        return self.model_copy(update={"cursor": None, "page_size": 50}).model_dump_json(exclude_defaults=True)
