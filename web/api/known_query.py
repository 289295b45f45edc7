"""What an address asks for is done, or refused: no query parameter is ignored."""

from typing import NamedTuple, get_origin

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute


class _Known(NamedTuple):
    names: frozenset[str]
    lists: frozenset[str]


# Parameters that are no part of the query.
_ELSEWHERE = (params.Path, params.Header, params.Cookie)


class KnownQuery:
    """A dependency of every endpoint: refuses parameters that the endpoint does not take.

    It also refuses a second value of a parameter that takes one, of which FastAPI would take the last.
    Raises RequestValidationError with every such parameter.
    """

    def __init__(self) -> None:
        self._of_endpoints: dict[str, _Known] = {}

    async def __call__(self, request: Request) -> None:
        route: APIRoute = request.scope["route"]
        # Endpoints outside of the document are pages, whose scripts read the query.
        if not request.query_params or not route.include_in_schema:
            return
        known = self._of_endpoints.get(route.unique_id)
        if known is None:
            known = self._of_endpoints[route.unique_id] = query_of(route)
        faults = []
        for name in dict.fromkeys(request.query_params):
            given = request.query_params.getlist(name)
            if name not in known.names:
                faults.append({"type": "extra_forbidden", "loc": ("query", name), "msg": "", "input": given[-1]})
            elif len(given) > 1 and name not in known.lists:
                faults.append({"type": "given_again", "loc": ("query", name), "msg": "", "input": given})
        if faults:
            raise RequestValidationError(faults)


def query_of(route: APIRoute) -> _Known:
    """The query parameters of an endpoint: those that FastAPI reads for it, and those that its document adds."""
    fields = [each for each in get_flat_params(route.dependant) if not isinstance(each.field_info, _ELSEWHERE)]
    read_by_itself = [each for each in (route.openapi_extra or {}).get("parameters", ()) if each["in"] == "query"]
    lists = {each.alias for each in fields if get_origin(each.field_info.annotation) is list}
    lists |= {each["name"] for each in read_by_itself if each["schema"].get("type") == "array"}
    return _Known(
        names=frozenset([each.alias for each in fields] + [each["name"] for each in read_by_itself]),
        lists=frozenset(lists),
    )
