"""Rows of posts under the names of the schema."""

from collections.abc import Iterator
from typing import Any

import orjson

from signalflow.storage.readers import Row
from web.api.posts.schemas import Nlp, PostDetail, PostOut

_FEATURES = tuple(Nlp.model_fields)
_OF_POST = tuple(name for name in PostOut.model_fields if name != "nlp")
_OF_DETAIL = tuple(name for name in PostDetail.model_fields if name != "nlp")


def post_of(row: Row) -> dict[str, Any]:
    """A post of a page."""
    return dict(_named(row, _OF_POST))


def detail_of(row: Row) -> dict[str, Any]:
    """A post with its text."""
    return dict(_named(row, _OF_DETAIL))


def _named(row: Row, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in names:
        yield name, row[name]
    features = {name: row[name] for name in _FEATURES}
    # The column holds the JSON that goes out.
    features["keywords"] = [] if features["keywords"] is None else orjson.Fragment(features["keywords"])
    yield "nlp", features
