"""What a raw record tells outside of its value."""

import pytest

from signalflow.clock import utcnow
from signalflow.events import Envelope, Metadata, Post


@pytest.mark.parametrize("spelling", ["AskHistorians", "askhistorians", "ASKHISTORIANS"])
def test_the_header_of_an_envelope_has_the_subreddit_in_lower_case(spelling: str) -> None:
    now = utcnow()
    post = Post(id="a", subreddit=spelling, author="b", title="c", created_utc=now, score=1, num_comments=0)
    of_the_post = Metadata(subreddit=spelling, observed_at=now)
    envelope = Envelope(
        entity_type="reddit_submission", source="reddit", mode="new", emitted_at=now, payload=post, metadata=of_the_post
    )
    assert dict(envelope.headers())["subreddit"] == b"askhistorians"
    assert envelope.payload.subreddit == spelling
