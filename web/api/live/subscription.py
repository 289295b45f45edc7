"""What a client asks for when it connects: the filter, the resume token, and the origin of the page that asks."""

from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from signalflow.errors import Invalid
from signalflow.settings import Settings
from web.access import is_same_origin
from web.api.live.schemas import ecma
from web.live.protocol import Filter
from web.live.token import MOST_CHARACTERS, ResumeToken, decode_token

LISTS = ("subreddits", "keywords", "ids")
SINGLE = ("trending", "min_score")
LAST_EVENT_ID = "Last-Event-ID"


def filter_in(query: QueryParams) -> Filter:
    """The filter in the query; a list is repeated or has commas (`subreddits=python,rust`). Raises Invalid."""
    fields: dict[str, Any] = {name: query[name] for name in SINGLE if name in query}
    for name in LISTS:
        fields[name] = [part.strip() for given in query.getlist(name) for part in given.split(",") if part.strip()]
    try:
        return msgspec.convert(fields, Filter, strict=False)
    except msgspec.ValidationError as error:
        named = next((name for name in (*LISTS, *SINGLE) if f"$.{name}" in str(error)), "filter")
        raise Invalid(str(error), named) from error


def resume_token(connection: HTTPConnection) -> ResumeToken | None:
    """Where the client resumes.

    The header, which a reconnecting browser sends, is newer than the query. Raises Invalid.
    """
    text = connection.headers.get(LAST_EVENT_ID) or connection.query_params.get("since")
    return decode_token(text) if text else None


def is_origin_allowed(connection: HTTPConnection, settings: Settings) -> bool:
    """Whether the page that asks is ours or of one of `live_origins`.

    A client without Origin is no page, and allowed.
    """
    origin = connection.headers.get("origin")
    return (
        origin is None
        or is_same_origin(connection)
        or origin in {allowed.strip() for allowed in settings.live_origins.split(",")}
    )


def parameters() -> list[dict[str, Any]]:
    """The parameters as OpenAPI describes them, derived from the types."""
    properties = ecma(msgspec.json.schema_components([Filter])[1]["Filter"]["properties"])
    described = [
        {"name": name, "in": "query", "required": False, "explode": False, "description": schema.get("description", "")}
        | {"schema": {key: value for key, value in schema.items() if key not in {"description", "default"}}}
        for name, schema in properties.items()
        if name != "type"
    ]
    token = {"type": "string", "maxLength": MOST_CHARACTERS}
    return [
        *described,
        {
            "name": "since",
            "in": "query",
            "required": False,
            "description": "Resume token: the id of the last event that was received.",
            "schema": token,
        },
        {
            "name": LAST_EVENT_ID,
            "in": "header",
            "required": False,
            "description": "As `since`; a browser sends it by itself when it reconnects.",
            "schema": token,
        },
    ]
