"""Answers written directly from rows. The schemas describe them; values from the database are not validated again."""

from collections.abc import Iterable
from typing import Any

import orjson
from fastapi import Response

from signalflow.storage.read_router import Row


def json_answer(content: Any, status: int = 200) -> Response:
    """The content as JSON, times in UTC."""
    return raw_answer(json_bytes(content), status)


def json_bytes(content: Any) -> bytes:
    """The content as JSON, times in UTC."""
    # The driver gives PostgreSQL's infinity without a zone.
    return orjson.dumps(content, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def raw_answer(body: bytes, status: int = 200) -> Response:
    """An answer whose JSON exists already."""
    return Response(body, status, media_type="application/json")


def columns(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows under the names of their columns."""
    return [dict(row) for row in rows]
