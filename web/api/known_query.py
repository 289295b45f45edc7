"""What an address asks for is done, or refused: no query parameter is ignored."""

from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError


class _Known(NamedTuple):
    names: frozenset[str]
    lists: frozenset[str]


class KnownQuery:
    """A dependency of every endpoint: refuses parameters that the OpenAPI document does not give the endpoint.

    It also refuses a second value of a parameter that takes one, of which FastAPI would take the last.
    Raises RequestValidationError with every such parameter.
    """

    def __init__(self) -> None:
        self._of_endpoints: dict[tuple[str, str], _Known] = {}

    async def __call__(self, request: Request) -> None:
        if not request.query_params:
            return
        if not self._of_endpoints:
            self._of_endpoints = _documented(request.app)
        # Endpoints outside of the document are pages, whose scripts read the query.
        known = self._of_endpoints.get((request.scope["route"].path, request.method))
        if known is None:
            return
        faults = []
        for name in dict.fromkeys(request.query_params):
            given = request.query_params.getlist(name)
            if name not in known.names:
                faults.append({"type": "extra_forbidden", "loc": ("query", name), "msg": "", "input": given[-1]})
            elif len(given) > 1 and name not in known.lists:
                faults.append({"type": "given_again", "loc": ("query", name), "msg": "", "input": given})
        if faults:
            raise RequestValidationError(faults)


def _documented(app: FastAPI) -> dict[tuple[str, str], _Known]:
    """The query parameters of each path and method."""
    found = {}
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            queries = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
            found[path, method.upper()] = _Known(
                names=frozenset(each["name"] for each in queries),
                lists=frozenset(each["name"] for each in queries if each["schema"].get("type") == "array"),
            )
    return found
