"""What a client asks for when it connects: the filter, the resume token, and the origin of the page that asks."""

from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from signalflow.errors import Invalid
from signalflow.schemas import ecma
from signalflow.settings import Settings
from web.access import is_same_origin
from web.faults import MOST_SHOWN
from web.live.protocol import POST_FILTERS, FilterForm, filter_of
from web.live.token import MOST_CHARACTERS, ResumeToken, decode_token

LAST_EVENT_ID = "Last-Event-ID"
SINCE = "since"


def filter_in(query: QueryParams, form: FilterForm = POST_FILTERS) -> Any:
    """The filter in the query; a list is repeated or has commas (`subreddit=python,rust`). Raises Invalid."""
    fields: dict[str, Any] = {}
    for name in dict.fromkeys(query):
        given = query.getlist(name)
        if form.is_list(name):
            fields[name] = [part.strip() for text in given for part in text.split(",") if part.strip()]
            if not fields[name]:
                raise Invalid("must not be empty", name)
        elif len(given) > 1:
            raise Invalid(f"may be given once, not {len(given)} times", name[:MOST_SHOWN])
        elif name != SINCE:
            fields[name] = given[0]
    return filter_of(fields, are_texts=True, form=form)


def resume_token(connection: HTTPConnection) -> ResumeToken | None:
    """Where the client resumes.

    The header, which a reconnecting browser sends, is newer than the query. Raises Invalid.
    """
    text = connection.headers.get(LAST_EVENT_ID) or connection.query_params.get(SINCE)
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


def parameters(form: FilterForm = POST_FILTERS) -> list[dict[str, Any]]:
    """The parameters as OpenAPI describes them, derived from the types."""
    properties = ecma(msgspec.json.schema_components([form.type])[1][form.type.__name__]["properties"])
    described = {
        name: {"name": name, "in": "query", "required": False, "explode": False}
        | {"description": schema.get("description", "")}
        | {"schema": {key: value for key, value in schema.items() if key not in {"description", "default"}}}
        for name, schema in properties.items()
        if name != "type"
    }
    former = [
        described[name] | {"name": former, "deprecated": True, "description": f"The former name of `{name}`."}
        for former, name in form.former.items()
    ]
    token = {"type": "string", "maxLength": MOST_CHARACTERS}
    return [
        *described.values(),
        *former,
        {
            "name": SINCE,
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
