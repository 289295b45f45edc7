"""The query parameters of topic clusters."""

from pydantic import BaseModel, Field

from signalflow.storage.topic_list import TopicFilter, TopicKey
from web.api.cursors import decode_text_key
from web.api.parameters import Moment, SubredditName
from web.problems import InvalidParameter

MOST_TOPICS_A_PAGE = 100


class TopicListParameters(BaseModel):
    """Which clusters, and which page of them."""

    since: Moment | None = Field(None, description="Joined by a post then or later (ISO 8601 with a time zone).")
    min_posts: int = Field(3, ge=2, le=1_000_000, description="With at least so many posts.")
    subreddit: list[SubredditName] = Field(
        [],
        max_length=50,
        description="With a post in one of these subreddits; may be given several times. Case does not matter.",
    )
    cursor: str | None = Field(
        None,
        max_length=512,
        description="`next` of the page before, with the same other parameters (but `page_size`); without it, the "
        "first page.",
    )
    page_size: int = Field(20, ge=1, le=MOST_TOPICS_A_PAGE, description="Most clusters in a page.")

    @property
    def filters(self) -> TopicFilter:
        """The filters as storage takes them."""
        return TopicFilter(self.since, self.min_posts, self.subreddit)

    @property
    def walk(self) -> str:
        """What a cursor belongs to: the list and its filters, without the place in it."""
        return "topics " + self.model_dump_json(exclude={"cursor", "page_size"}, exclude_defaults=True)

    @property
    def before(self) -> TopicKey | None:
        """The cluster before the page. Raises InvalidParameter for a text that is no cursor of this walk."""
        try:
            return None if self.cursor is None else decode_text_key(self.cursor, self.walk)
        except ValueError as error:
            raise InvalidParameter("cursor", str(error)) from error
