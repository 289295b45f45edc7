"""What an observation without numbers, as of a feed, does to its post: nothing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher, microseconds
from signalflow.events import Enriched, Envelope, Metadata, Post, Source, decode_enriched, decode_envelope, encode
from signalflow.settings import Settings

NOW = datetime(2026, 1, 3, tzinfo=UTC)
SOURCE = Source(topic="t", partition=0, offset=0)
ENRICHER = Enricher(Settings())
# Score and comments of an observation; a feed tells neither, and a file may lack one.
Numbers = tuple[int | None, int | None]
told = st.tuples(st.integers(-5, 5_000), st.integers(0, 300))
untold = st.sampled_from([(None, None), (None, 3), (3, None)])


def enriched(log: list[tuple[int, Numbers]]) -> tuple[list[Enriched], PostState | None]:
    """The observations of a log, by second and numbers, as they leave the pipeline, and the post's last state."""
    state: PostState | None = None
    rows = []
    for second, (score, comments) in log:
        at = NOW + timedelta(seconds=second)
        is_feed = score is None and comments is None
        post = Post(
            id="a", subreddit="python", author=None, title="A table", created_utc=NOW, score=score,
            num_comments=comments, over_18=None if is_feed else False, is_self=None if is_feed else True,
        )  # fmt: skip
        envelope = Envelope(
            entity_type="reddit_submission", source="test", mode="refresh", emitted_at=at, payload=post,
            metadata=Metadata(subreddit="python", observed_at=at),
        )  # fmt: skip
        row, new = ENRICHER.enrich(
            decode_envelope(encode(envelope)), SOURCE, microseconds(at), lambda known=state: known  # type: ignore[misc]
        )  # fmt: skip
        state = state if new is None else new
        rows.append(decode_enriched(encode(row)))
    return rows, state


@given(st.lists(st.tuples(st.integers(0, 40).map(lambda n: n * 30), told | untold), max_size=12))
def test_observations_without_numbers_neither_make_nor_reset_velocities_wherever_they_come(
    log: list[tuple[int, Numbers]],
) -> None:
    rows, state = enriched(log)
    with_numbers = [(second, numbers) for second, numbers in log if None not in numbers]
    alone, state_alone = enriched(with_numbers)
    assert state == state_alone
    assert [row for row in rows if None not in (row.current_score, row.current_comments)] == alone
    for row in rows:
        if None in (row.current_score, row.current_comments):
            assert (row.score_velocity, row.comment_velocity, row.trend_velocity) == (None, None, None)


def test_a_feed_tells_no_number_and_no_flag_and_no_trend() -> None:
    (before, fed, after), _ = enriched([(0, (100, 4)), (60, (None, None)), (120, (220, 10))])
    assert (fed.current_score, fed.current_comments, fed.over_18, fed.is_self) == (None, None, None, None)
    assert (fed.trending_score, fed.is_trending, fed.late) == (0.0, False, False)
    assert (before.score_velocity, after.score_velocity, after.comment_velocity) == (None, 1.0, 0.05)
