"""A field of a post that one place has and another lacks is listed here, or it was forgotten."""

import re
from datetime import UTC, datetime
from types import NoneType
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct

from signalflow.enrichment import Enricher
from signalflow.events import Enriched, Envelope, Metadata, Post, Source, TextFeatures
from signalflow.settings import Settings
from signalflow.storage.columns import FEATURES, HISTORY, POSTS, Column, Guard
from signalflow.verify.contract import Observed
from signalflow.verify.expect import OF_THE_LOG, PostRow
from web.api.posts.schemas import Nlp, Observation, PostDetail, PostOut
from web.dashboard import endpoints
from web.live.protocol import LivePost

# What only the pipeline needs: how an observation came, and from which record.
OF_THE_PIPELINE = {"emitted_at", "late", "mode", "source", "rank"}
# A value of each field of a post that is not the field's default.
A_POST: dict[str, Any] = {
    "id": "abc",
    "subreddit": "python",
    "author": "someone",
    "title": "A title",
    "created_utc": datetime(2026, 1, 1, tzinfo=UTC),
    "score": 7,
    "num_comments": 3,
    "upvote_ratio": 0.75,
    "url": "https://example.org/",
    "permalink": "/r/python/comments/abc/",
    "flair": "News",
    "over_18": True,
    "is_self": True,
    "edited_at": datetime(2026, 1, 1, 1, tzinfo=UTC),
    "removed_by": "moderator",
    "body": "A text",
}
# The enriched record has these under other names, which say of which moment they are.
RENAMED = {"score": "current_score", "num_comments": "current_comments", "upvote_ratio": "current_ratio"}
# What the poller tells the database beside the log: the last answers did not show the post.
OF_THE_POLLER = {"not_shown_since"}
# What the database computes when it is asked.
COMPUTED = {"engagement_score", "age_minutes", "momentum"}


def attributes_of(columns: tuple[Column, ...]) -> set[str]:
    """What these columns take from an observation."""
    return {column.attribute or column.name for column in columns}


# What goes with a post that is taken away: all that its author wrote, and the author.
OF_THE_AUTHOR = {"title": "", "author": None, "url": None, "permalink": None, "flair": None, "body": None}


def enriched_of(fields: dict[str, Any]) -> Enriched:
    """The enriched record of a post with these fields."""
    seen_at = datetime(2026, 1, 1, 2, tzinfo=UTC)
    envelope = Envelope(
        entity_type="reddit_submission",
        source="test",
        mode="new",
        emitted_at=seen_at,
        payload=Post(**fields),
        metadata=Metadata(subreddit="python", observed_at=seen_at),
    )
    appended_us = int(seen_at.timestamp() * 1_000_000)
    source = Source(topic="t", partition=0, offset=0)
    enriched, _ = Enricher(Settings()).enrich(envelope, source, appended_us, lambda: None)
    return enriched


@pytest.mark.parametrize("removed_by", [None, "moderator"])
def test_every_field_of_a_post_reaches_the_enriched_record_and_no_text_of_a_post_that_was_taken_away(
    removed_by: str | None,
) -> None:
    assert A_POST.keys() == set(Post.__struct_fields__), "give the new field a value that is not its default"
    fields = A_POST | {"removed_by": removed_by}
    enriched = enriched_of(fields)
    found = {name: getattr(enriched, RENAMED.get(name, name)) for name in A_POST}
    assert found == (fields | OF_THE_AUTHOR if removed_by else fields)
    assert (enriched.nlp.sentiment_score is None) == (enriched.nlp.keywords == []) == bool(removed_by)


def test_the_oracle_reads_every_field_of_a_post_and_expects_every_column() -> None:
    read = set(Observed.__dataclass_fields__)
    assert set(Post.__struct_fields__) <= read, "signalflow/verify/contract.py"
    expected = {"id", *PostRow._fields} - {*OF_THE_LOG}
    assert expected == {column.name for column in POSTS}, "signalflow/verify/expect.py"


def test_every_field_of_an_observation_is_stored() -> None:
    stored = attributes_of(POSTS) | {"nlp"}
    assert set(Enriched.__struct_fields__) - stored == OF_THE_PIPELINE
    assert attributes_of(FEATURES) | {"nlp.topic_cluster"} == {f"nlp.{name}" for name in TextFeatures.__struct_fields__}
    assert attributes_of(HISTORY) <= attributes_of(POSTS)


def test_the_live_stream_has_every_field_but_the_text() -> None:
    assert set(Enriched.__struct_fields__) - set(LivePost.__struct_fields__) == OF_THE_PIPELINE | {"body"}


@pytest.mark.parametrize(("list_", "guard"), [("OF_THE_SCORE", Guard.SCORE), ("OF_THE_DETAILS", Guard.DETAILS)])
def test_the_dashboard_keeps_what_a_live_observation_does_not_tell(list_: str, guard: Guard) -> None:
    text = (endpoints.HERE / "static" / "parts" / "observation.js").read_text(encoding="utf-8")
    (listed,) = re.findall(rf"const {list_} = \[(.*?)\]", text, re.DOTALL)
    followed = {column.name for column in POSTS if column.guard is guard}
    assert set(re.findall(r'"(\w+)"', listed)) == followed & set(LivePost.__struct_fields__)


def test_the_post_list_has_every_field_of_the_live_stream() -> None:
    listed = set(PostOut.model_fields)
    times = {"last_polled_at", "score_observed_at", "details_observed_at", "erased_until"}
    assert listed - set(LivePost.__struct_fields__) == times | OF_THE_POLLER | COMPUTED
    assert set(LivePost.__struct_fields__) <= listed
    assert set(Nlp.model_fields) == set(TextFeatures.__struct_fields__)


def test_the_api_has_every_column_and_only_one_post_has_the_text() -> None:
    texts = {column.name for column in POSTS if column.guard is Guard.TEXT}
    others = {column.name for column in POSTS} - texts
    assert set(PostOut.model_fields) == others | {"observed_at", "nlp"} | OF_THE_POLLER | COMPUTED
    assert set(PostDetail.model_fields) == set(PostOut.model_fields) | texts | {"comment_sentiment", "topic_posts"}
    assert set(Observation.model_fields) == {column.name for column in HISTORY} - {"post_id"}


@pytest.mark.parametrize(("schema", "columns"), [(PostOut, POSTS), (Observation, HISTORY)])
def test_null_in_the_api_is_null_in_the_observation(schema: Any, columns: tuple[Column, ...]) -> None:
    # Not every post was taken away.
    columns = tuple(column for column in columns if column.guard is not Guard.REMOVED)
    of_the_api = {column.name: accepts_null(schema.model_fields[column.name].annotation) for column in columns
                  if column.name in schema.model_fields}  # fmt: skip
    # An observation without numbers leaves no history.
    nullable = nullable_fields(Enriched) - ({"current_score", "current_comments"} if schema is Observation else set())
    assert of_the_api == {
        column.name: (column.attribute or column.name) in nullable for column in columns if column.name in of_the_api
    }


def test_null_in_the_live_stream_is_null_in_the_observation() -> None:
    assert nullable_fields(LivePost) == nullable_fields(Enriched) - {"body", "rank"}


def accepts_null(annotation: Any) -> bool:
    """Whether a field of this type may be None."""
    return NoneType in get_args(annotation)


def nullable_fields(struct: type[Struct]) -> set[str]:
    """The fields that may be None."""
    return {
        field.name
        for field in msgspec.inspect.type_info(struct).fields  # type: ignore[attr-defined]
        if isinstance(field.type, msgspec.inspect.UnionType) and field.type.includes_none
    }
