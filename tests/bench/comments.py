"""Can one worker store all comments of Reddit, a hundred a second, beside the posts?"""

import asyncio
import time
from random import Random
from statistics import mean
from typing import Any

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer

from signalflow.clock import utcnow
from signalflow.events import Comment, CommentEnvelope, Metadata, encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.simulator.subreddits import default_subreddits
from signalflow.simulator.text import author_name, comment_text
from tests.bench.latency import PER_SECOND, SINK_SECONDS, WARM_UP_SECONDS, Latency, Record, observations
from tests.bench.load import SEED
from tests.bench.stack import Stack
from tests.bench.statistics import quantiles
from tests.integration.workers import WorkerProcess

COMMENTS_PER_SECOND = 100
POSTS = 2_000
# A comment of the simulator is one sentence of about 60 characters; a real one has about 200.
MOST_SENTENCES = 6

_VISIBLE = "SELECT id FROM comments WHERE id = ANY ($1::text[])"


class CommentLoad:
    """Comments under some posts; most answer the post, the others an earlier comment of it."""

    def __init__(self) -> None:
        self._rng = Random(SEED)
        self._subreddits = [each.name for each in default_subreddits() if each.access == "public"]
        self._newest: dict[str, str] = {}
        self.characters: list[int] = []

    def record(self, number: int) -> Record:
        """The comment with this number, written now."""
        rng, now = self._rng, utcnow()
        post, id_ = f"p{rng.randrange(POSTS)}", f"c{number}"
        subreddit = self._subreddits[int(post[1:]) % len(self._subreddits)]
        parent = f"t1_{self._newest[post]}" if post in self._newest and rng.random() < 0.4 else f"t3_{post}"
        self._newest[post] = id_
        body = " ".join(comment_text(subreddit, rng) for _ in range(rng.randint(1, MOST_SENTENCES)))
        self.characters.append(len(body))
        comment = Comment(
            id=id_,
            post_id=post,
            author=author_name(rng),
            body=body,
            created_utc=now,
            score=1,
            parent_id=parent,
            controversiality=0,
            permalink=f"/r/{subreddit}/comments/{post}/_/{id_}/",
            is_submitter=False,
            stickied=False,
        )
        envelope = CommentEnvelope(
            entity_type="reddit_comment",
            source="bench",
            mode="new",
            emitted_at=now,
            payload=comment,
            metadata=Metadata(subreddit=subreddit, observed_at=now),
        )
        return Record((id_,), envelope.key, encode(envelope), envelope.headers())


async def comments(stack: Stack, seconds: int) -> dict[str, Any]:
    """One worker with a batch time of 100 ms, at 100 comments/s and 100 observations of posts/s.

    `cpu_share` is the time that the worker computed, as a share of one core.
    """
    settings = await stack.installation("comments")
    names, load = TopicNames.of(settings), CommentLoad()
    count = WARM_UP_SECONDS + seconds
    of_comments = Latency(names.comments_raw, load.record, _VISIBLE, COMMENTS_PER_SECOND)
    of_posts = observations(names.posts_raw, count * PER_SECOND)
    worker = WorkerProcess(settings, "bench", stack.directory, SIGNALFLOW_SINK_MAX_SECONDS=str(SINK_SECONDS))
    worker.start()
    database_url = settings.database_url.get_secret_value()
    connections = [await asyncpg.connect(database_url) for _ in range(2)]
    try:
        await worker.ready()
        process = psutil.Process(worker.pid)
        began, before = time.perf_counter(), process.cpu_times()
        async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
            await asyncio.gather(
                of_comments.send(producer, count * COMMENTS_PER_SECOND),
                of_comments.look(connections[0]),
                of_posts.send(producer, count * PER_SECOND),
                of_posts.look(connections[1]),
            )
        after, lasted = process.cpu_times(), time.perf_counter() - began
        stored = await connections[0].fetchval("SELECT count(*) FROM comments")
    finally:
        for connection in connections:
            await connection.close()
        worker.stop()
    return {
        "comments_per_s": round(stored / lasted, 1),
        "posts_per_s": PER_SECOND,
        "seconds": seconds,
        "mean_characters": round(mean(load.characters)),
        "cpu_share": round((after.user + after.system - before.user - before.system) / lasted, 2),
        "comments": quantiles(of_comments.milliseconds, "ms"),
        "posts": quantiles(of_posts.milliseconds, "ms"),
    }
