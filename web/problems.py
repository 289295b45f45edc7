"""Every error is a problem+json (RFC 9457) with a stable `type`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.storage.pool import TookTooLong
from web import request_ids
from web.faults import in_words

MEDIA_TYPE = "application/problem+json"
# The header of every 503 whose cause ends by itself.
RETRY_LATER = {"Retry-After": "5"}

log = structlog.get_logger()


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    parameter: str = Field(description="The parameter at fault.", examples=["page_size"])
    message: str = Field(description="What is wrong with it.", examples=["must be at most 200, not 500"])
    position: int | None = Field(
        None, description="Where in a query, in characters from 0. Only for what is written in the query language."
    )


class Problem(BaseModel):
    """An error, by RFC 9457."""

    type: str = Field(description="Stable name of the kind of problem.", examples=["urn:signalflow:invalid-parameter"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do.")
    request_id: str = Field(description="The id of the request, as in X-Request-Id and in the log of the API.")
    errors: list[Fault] = Field(default=[], description="The parameters at fault, if any.")


class InvalidParameter(Exception):
    """A parameter whose value is wrong, although its type allows it."""

    def __init__(self, parameter: str, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.fault = Fault(parameter=parameter, message=message, position=position)


_REFERENCE = {"$ref": f"#/components/schemas/{Problem.__name__}"}


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that can answer with these problems."""
    return {
        int(status): {"content": {MEDIA_TYPE: {"schema": _REFERENCE}}, "description": status.phrase}
        for status in statuses
    }


def describe_problems(document: dict[str, Any]) -> None:
    """Let every error of an OpenAPI document be a problem, also those that FastAPI describes in its own way."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(own.pop("$defs"))
    schemas[Problem.__name__] = own
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation.get("responses", {}).items():
                if int(status) >= HTTPStatus.BAD_REQUEST:
                    response["content"] = {MEDIA_TYPE: {"schema": _REFERENCE}}


# The problems of every read of the database.
OF_READS = documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR)


def handle_problems(app: FastAPI) -> None:
    """Answer every error of the application with a problem.

    The handlers are coroutines, so that they need no thread.
    """
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(InvalidParameter, _on_invalid_parameter)
    app.add_exception_handler(Invalid, _on_invalid)
    app.add_exception_handler(Retryable, _on_retryable)
    app.add_exception_handler(Fatal, _on_fatal)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, _on_fault_of_ours)


def _answer(
    status: int,
    kind: str,
    title: str,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    request_id = request_ids.current()
    problem = Problem(
        type=f"urn:signalflow:{kind}",
        title=title,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=list(faults),
    )
    content = problem.model_dump(exclude=None if faults else {"errors"}, exclude_none=True)
    # The middleware sets the id too, but Starlette sends the answer to an unexpected error past all middleware.
    fixed = {"Cache-Control": "no-store", request_ids.HEADER: request_id}
    return JSONResponse(content, status, media_type=MEDIA_TYPE, headers=fixed | dict(headers or {}))


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The problem for a bare HTTP status. Middleware sends it itself, because no handler catches its errors."""
    phrase = HTTPStatus(status).phrase
    return _answer(status, phrase.lower().replace(" ", "-"), phrase, detail, headers=headers)


def _invalid_parameters(faults: Sequence[Fault]) -> JSONResponse:
    detail = "; ".join(f"{fault.parameter}: {fault.message}" for fault in faults)
    return _answer(422, "invalid-parameter", "A parameter is invalid", detail, faults)


def _named(location: Sequence[str | int]) -> str:
    """The name of a parameter. The first part of its location says where it stood (query, path, body)."""
    return ".".join(map(str, location[1:] or location))


async def _on_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _invalid_parameters(
        [
            Fault(
                parameter=_named(fault["loc"]),
                message=in_words(fault),
                position=fault.get("ctx", {}).get("position"),
            )
            for fault in error.errors()
        ]
    )


async def _on_invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidParameter)
    return _invalid_parameters([error.fault])


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Invalid)
    return _invalid_parameters([Fault(parameter=error.field or "request", message=str(error))])


def _route_of(request: Request) -> str:
    """The path with the names of its parameters: a value may be a secret, as in the link of a feed."""
    route = request.scope.get("route")
    return route.path if isinstance(route, APIRoute) else request.url.path


async def _on_retryable(request: Request, error: Exception) -> JSONResponse:
    log.warning("api_unavailable", path=_route_of(request), error=str(error))
    if isinstance(error, TookTooLong):
        detail = (
            "The database ended this read because it took too long. "
            "Ask for less: a shorter window, or fewer filters that match little."
        )
        return _answer(
            503,
            "read-took-too-long",
            "The read took too long",
            detail,
            headers=RETRY_LATER,
        )
    detail = "The database cannot be reached at the moment. Nothing is lost: try again in some seconds."
    return _answer(503, "database-unavailable", "The database is away", detail, headers=RETRY_LATER)


async def _on_fatal(request: Request, error: Exception) -> JSONResponse:
    log.error("api_failed", path=_route_of(request), error=str(error))
    detail = (
        "The database refused the request. "
        "If its schema is older than this program, run `signalflow migrate`; the log says more."
    )
    return _answer(500, "database-refused", "The database refused", detail)


async def on_http_exception(_: Request, error: Exception) -> JSONResponse:
    """The problem for an HTTPException."""
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, str(error.detail), error.headers)


async def _on_fault_of_ours(_: Request, __: Exception) -> JSONResponse:
    # The server logs the traceback itself; clients have no use for it.
    return _answer(500, "internal", "A fault of ours", "This should not happen; the log of the API has the details.")
