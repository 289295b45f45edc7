"""The observations that the bench sends: posts with real titles, or generated ones, observed again and again."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random

import msgspec

from signalflow.events import Envelope, Metadata, Post, encode
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, partition_for
from signalflow.kafka.topics import TopicNames
from signalflow.reddit.files import Tally, records_in
from signalflow.settings import Settings
from signalflow.simulator.posts import Post as SimulatedPost
from signalflow.simulator.subreddits import default_subreddits
from signalflow.simulator.text import Texts
from tests.recorded_data import recorded_data

# The time between two observations of a post. A round observes every post once within this time.
ROUND = timedelta(minutes=1)
OLDEST = timedelta(hours=12)
SEED = 7
# The age of the very first observation, so that the last round lies in the past too, and in a table partition that
# exists.
BEFORE_NOW = timedelta(hours=1)


class Load:
    """`count` posts, each observed once a round: first with its body, later without it, as the poller publishes them.

    All rounds have the same order. So all other posts are observed between two observations of a post: nothing merges
    within a batch, and if the posts do not fit into the cache of text features, each is scored every time.
    """

    def __init__(self, count: int, now: datetime) -> None:
        self.source, self.posts = _posts(count, now)
        self._start = now - BEFORE_NOW
        self._step = ROUND / (len(self.posts) + 1)
        rng = Random(SEED)
        self._growth = [min(int(rng.paretovariate(0.8)), 5_000) for _ in self.posts]

    def envelope(self, index: int, round_: int, observed_at: datetime | None = None) -> Envelope:
        """The observation of one post in one round (from 0)."""
        observed_at = observed_at or self._start + round_ * ROUND + index * self._step
        post, growth = self.posts[index], self._growth[index]
        seen: dict[str, object] = {"score": 1 + growth * round_, "num_comments": growth * round_ // 5}
        if round_:
            seen["body"] = msgspec.UNSET
        return Envelope(
            entity_type="reddit_submission",
            source="bench",
            mode="refresh" if round_ else "new",
            emitted_at=observed_at,
            payload=msgspec.structs.replace(post, **seen),
            metadata=Metadata(subreddit=post.subreddit, observed_at=observed_at),
        )

    def envelopes(self, count: int) -> Iterator[Envelope]:
        """The first `count` observations, round by round."""
        for number in range(count):
            round_, index = divmod(number, len(self.posts))
            yield self.envelope(index, round_)


async def publish(settings: Settings, envelopes: Iterator[Envelope], batch: int = 5_000) -> None:
    """Write observations to the raw topic, keyed as the publisher keys them, each confirmed."""
    producer = ConfirmedProducer(settings, "bench")
    topic = TopicNames.of(settings).posts_raw
    try:
        while some := list(islice(envelopes, batch)):
            await producer.send(topic, by_partition(some, settings.topic_partitions))
    finally:
        await producer.close()


def by_partition(envelopes: Iterable[Envelope], partitions: int) -> dict[int, list[Outgoing]]:
    """Observations as records, by the partition to which the publisher would send them."""
    records: dict[int, list[Outgoing]] = {}
    for envelope in envelopes:
        key = envelope.payload.id.encode()
        records.setdefault(partition_for(key, partitions), []).append(
            Outgoing(key, encode(envelope), envelope.headers())
        )
    return records


def _posts(count: int, now: datetime) -> tuple[str, Sequence[Post]]:
    path = recorded_data() / "real_posts_2013.ndjson.gz"
    rng = Random(SEED)
    if path.exists():
        posts = list(islice(records_in(path, now, Tally()), count))
        if len(posts) == count:
            return "real titles", [_young(post, now, rng) for post in posts]
    return "titles of the simulator", _simulated(count, now, rng)


def _young(post: Post, now: datetime, rng: Random) -> Post:
    """The post with a creation time of today, since no state is kept for older posts."""
    return msgspec.structs.replace(post, created_utc=now - BEFORE_NOW - rng.random() * OLDEST)


def _simulated(count: int, now: datetime, rng: Random) -> list[Post]:
    subreddits, texts = [one for one in default_subreddits() if one.access == "public"], Texts()
    posts = []
    for number in range(count):
        subreddit = rng.choice(subreddits)
        kind = "self" if rng.random() < subreddit.self_share else "link"
        made = SimulatedPost(
            number=36**6 + number,
            subreddit=subreddit,
            created=0.0,
            rise=0.0,
            tau=1.0,
            start=0.0,
            talk=0.0,
            ratio=0.9,
            kind=kind,  # type: ignore[arg-type]
            over_18=False,
            text_seed=rng.randrange(2**32),
        )
        text = texts.of(made)
        post = Post(
            id=made.id,
            subreddit=subreddit.name,
            author=text.author,
            title=text.title,
            created_utc=now,
            score=1,
            num_comments=0,
            upvote_ratio=0.9,
            url=text.url,
            permalink=f"/r/{subreddit.name}/comments/{made.id}/",
            flair=text.flair,
            is_self=kind == "self",
            body=text.body or None,
        )
        posts.append(_young(post, now, rng))
    return posts
