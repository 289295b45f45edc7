"""Rows of posts under the names of the schema."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import orjson

from signalflow.storage.comment_sentiment import CommentSentiment
from signalflow.storage.read_router import Row
from web.api.posts.schemas import Nlp, PostDetail, PostOut


def _reading(schema: type[PostOut]) -> Callable[[Row], dict[str, Any]]:
    """A function that takes the fields of a schema from a row."""
    names = tuple(name for name in schema.model_fields if name not in ("nlp", "comment_sentiment"))
    features = tuple(name for name in Nlp.model_fields if name != "keywords")
    of_post, of_features = itemgetter(*names), itemgetter(*features)

    def read(row: Row) -> dict[str, Any]:
        keywords = row["keywords"]
        nlp = dict(zip(features, of_features(row), strict=True))
        # The column holds the JSON that goes out.
        nlp["keywords"] = [] if keywords is None else orjson.Fragment(keywords)
        return dict(zip(names, of_post(row), strict=True), nlp=nlp)

    return read


post_of = _reading(PostOut)
_detail_of = _reading(PostDetail)


def detail_of(row: Row, sentiment: CommentSentiment | None) -> dict[str, Any]:
    """The fields of a post, with the sentiment of its comments."""
    together = sentiment and {"count": sentiment.count, "mean": sentiment.mean}
    return _detail_of(row) | {"comment_sentiment": together}
