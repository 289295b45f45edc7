"""A field of a post that one place has and another lacks is listed here, or it was forgotten."""

from types import NoneType
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct

from signalflow.events import Enriched, TextFeatures
from signalflow.storage.columns import FEATURES, HISTORY, POSTS, Column, Guard
from web.api.posts.schemas import Nlp, Observation, PostDetail, PostOut
from web.live.protocol import LivePost

# What only the pipeline needs: how an observation came, and from which record.
OF_THE_PIPELINE = {"emitted_at", "late", "mode", "source"}
# What the database computes when it is asked.
COMPUTED = {"engagement_score", "age_minutes", "momentum"}


def attributes_of(columns: tuple[Column, ...]) -> set[str]:
    """What these columns take from an observation."""
    return {column.attribute or column.name for column in columns}


def test_every_field_of_an_observation_is_stored() -> None:
    stored = attributes_of(POSTS) | {"nlp"}
    assert set(Enriched.__struct_fields__) - stored == OF_THE_PIPELINE
    assert attributes_of(FEATURES) == {f"nlp.{name}" for name in TextFeatures.__struct_fields__}
    assert attributes_of(HISTORY) <= attributes_of(POSTS)


def test_the_live_stream_has_every_field_but_the_text() -> None:
    assert set(Enriched.__struct_fields__) - set(LivePost.__struct_fields__) == OF_THE_PIPELINE | {"body"}


def test_the_post_list_has_every_field_of_the_live_stream() -> None:
    listed = set(PostOut.model_fields)
    assert listed - set(LivePost.__struct_fields__) == {"last_polled_at"} | COMPUTED
    assert set(LivePost.__struct_fields__) <= listed
    assert set(Nlp.model_fields) == set(TextFeatures.__struct_fields__)


def test_the_api_has_every_column_and_only_one_post_has_the_text() -> None:
    texts = {column.name for column in POSTS if column.guard is Guard.TEXT}
    others = {column.name for column in POSTS} - texts
    assert set(PostOut.model_fields) == others | {"observed_at", "nlp"} | COMPUTED
    assert set(PostDetail.model_fields) == set(PostOut.model_fields) | texts
    assert set(Observation.model_fields) == {column.name for column in HISTORY} - {"post_id"}


@pytest.mark.parametrize(("schema", "columns"), [(PostOut, POSTS), (Observation, HISTORY)])
def test_null_in_the_api_is_null_in_the_observation(schema: Any, columns: tuple[Column, ...]) -> None:
    of_the_api = {column.name: accepts_null(schema.model_fields[column.name].annotation) for column in columns
                  if column.name in schema.model_fields}  # fmt: skip
    nullable = nullable_fields(Enriched)
    assert of_the_api == {
        column.name: (column.attribute or column.name) in nullable for column in columns if column.name in of_the_api
    }


def test_null_in_the_live_stream_is_null_in_the_observation() -> None:
    assert nullable_fields(LivePost) == nullable_fields(Enriched) - {"body"}


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
