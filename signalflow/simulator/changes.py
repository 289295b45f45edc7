"""Changes made to a world by hand. They are written down and applied again after a restart."""

import msgspec

from signalflow.simulator.subreddits import Access


class PostChanged(msgspec.Struct, frozen=True, tag="happened"):
    """A post was deleted, removed, restored or edited at a time (epoch seconds); `kind` as in posts.LifeEvent."""

    number: int
    at: float
    kind: str


class CommentDeleted(msgspec.Struct, frozen=True, tag="comment_deleted"):
    """The author of comment number `place` of a post deleted it at a time (epoch seconds)."""

    number: int
    place: int
    at: float


class PostAdded(msgspec.Struct, frozen=True, tag="added", kw_only=True):
    """A post was added; rise, tau, talk and says as in posts.Post."""

    number: int
    subreddit: str
    created: float
    rise: float
    tau: float
    talk: float
    text_seed: int
    title: str | None = None
    says: str | None = None


class AccessChanged(msgspec.Struct, frozen=True, tag="access"):
    """A subreddit became private, banned and so on, or became public again."""

    subreddit: str
    access: Access


Change = PostChanged | CommentDeleted | PostAdded | AccessChanged
ENCODER = msgspec.json.Encoder()
DECODER: msgspec.json.Decoder[Change] = msgspec.json.Decoder(Change)
