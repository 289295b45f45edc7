"""Publishing what an answer of Reddit showed: an envelope for each decision, and the metrics of what was confirmed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import uuid4

from signalflow.domain.fetch import Findings
from signalflow.events import Post
from signalflow.metrics import DISCOVERY_SECONDS, POSTS_DISCOVERED, POSTS_FOUND_LATE, POSTS_REFRESHED
from signalflow.reddit.observations import envelope
from signalflow.reddit.ports import PostPublisher


class FindingsPublisher:
    """Publishes the findings of one poller. Envelopes of one answer share a poll id."""

    def __init__(self, publisher: PostPublisher, clock: Callable[[], datetime]) -> None:
        self._publisher, self._clock = publisher, clock
        self._run_id = uuid4().hex[:8]
        self._polls = 0

    async def publish(
        self, findings: Findings, posts: Sequence[Post], observed_at: datetime, *, since: datetime
    ) -> list[bool]:
        """Publish the posts that were decided on; returns by decision whether the brokers confirmed it.

        `since`: when polling began. The age of a post from before says nothing about how quickly polling finds posts.
        """
        if not findings.decisions:
            return []
        self._polls += 1
        fetch, emitted_at, poll_id = findings.fetch, self._clock(), f"{self._run_id}-{self._polls}"
        envelopes = [
            envelope(
                posts[item],
                fetch.mode(is_new=is_new),
                with_body,
                observed_at,
                emitted_at,
                poll_id,
                post_sort=fetch.post_sort,
                place=findings.place(item),
            )
            for item, is_new, with_body in findings.decisions
        ]
        confirmed = await self._publisher.publish(envelopes)
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            if not is_sent:
                continue
            (POSTS_DISCOVERED if decision.is_new else POSTS_REFRESHED).inc()
            if decision.is_new and fetch.finds_late:
                POSTS_FOUND_LATE.inc()
            created = posts[decision.item].created_utc
            if decision.is_new and fetch.shows_discovery_delay and created > since:
                DISCOVERY_SECONDS.observe(max((observed_at - created).total_seconds(), 0.0))
        return confirmed
