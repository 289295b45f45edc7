"""What was done to a world by hand, so that it can be written down and done again after a restart."""

import msgspec

from signalflow.simulator.subreddits import Access


class Happened(msgspec.Struct, frozen=True, tag="happened"):
    """Something happened to a post at a time (epoch seconds); `kind` as in posts.LifeEvent."""

    number: int
    at: float
    kind: str


class Added(msgspec.Struct, frozen=True, tag="added", kw_only=True):
    """A post that was added; rise, tau and talk as in posts.Post."""

    number: int
    subreddit: str
    created: float
    rise: float
    tau: float
    talk: float
    text_seed: int
    title: str | None = None


class AccessChanged(msgspec.Struct, frozen=True, tag="access"):
    """A subreddit became private, banned and so on, or public again."""

    subreddit: str
    access: Access


Change = Happened | Added | AccessChanged
ENCODER = msgspec.json.Encoder()
DECODER: msgspec.json.Decoder[Change] = msgspec.json.Decoder(Change)
