"""Every error is a problem+json (RFC 9457) with a stable `type`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.storage.pool import TookTooLong

MEDIA_TYPE = "application/problem+json"
# The header of every 503 whose cause ends by itself.
RETRY_LATER = {"Retry-After": "5"}

log = structlog.get_logger()


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    parameter: str = Field(description="The parameter at fault.", examples=["page_size"])
    message: str = Field(description="What is wrong with it.", examples=["Input should be less than or equal to 200"])


class Problem(BaseModel):
    """An error, by RFC 9457."""

    type: str = Field(description="Stable name of the kind of problem.", examples=["urn:signalflow:invalid-parameter"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do.")
    errors: list[Fault] = Field(default=[], description="The parameters at fault, if any.")


class InvalidParameter(Exception):
    """A parameter whose value is wrong, although its type allows it."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(parameter=parameter, message=message)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that can answer with these problems."""
    return {
        int(status): {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": status.phrase}
        for status in statuses
    }


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
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_fault_of_ours)


def _answer(
    status: int,
    kind: str,
    title: str,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(type=f"urn:signalflow:{kind}", title=title, status=status, detail=detail, errors=list(faults))
    content = problem.model_dump(exclude=None if faults else {"errors"})
    return JSONResponse(
        content, status, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **(headers or {})}
    )


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The problem for a bare HTTP status. Middleware sends it itself, because no handler catches its errors."""
    phrase = HTTPStatus(status).phrase
    return _answer(status, phrase.lower().replace(" ", "-"), phrase, detail, headers=headers)


def _invalid_parameters(faults: Sequence[Fault]) -> JSONResponse:
    detail = "; ".join(f"{fault.parameter}: {fault.message}" for fault in faults)
    return _answer(422, "invalid-parameter", "A parameter is invalid", detail, faults)


async def _on_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The first part of a location says where the parameter stood (query, path); the rest is its name.
    return _invalid_parameters(
        [Fault(parameter=".".join(map(str, fault["loc"][1:])), message=fault["msg"]) for fault in error.errors()]
    )


async def _on_invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidParameter)
    return _invalid_parameters([error.fault])


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Invalid)
    return _invalid_parameters([Fault(parameter=error.field or "request", message=str(error))])


async def _on_retryable(request: Request, error: Exception) -> JSONResponse:
    log.warning("api_unavailable", path=request.url.path, error=str(error))
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
    log.error("api_failed", path=request.url.path, error=str(error))
    detail = (
        "The database refused the request. "
        "If its schema is older than this program, run `signalflow migrate`; the log says more."
    )
    return _answer(500, "database-refused", "The database refused", detail)


async def _on_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, str(error.detail), error.headers)


async def _on_fault_of_ours(_: Request, __: Exception) -> JSONResponse:
    # The server logs the traceback itself; clients have no use for it.
    return _answer(500, "internal", "A fault of ours", "This should not happen; the log of the API has the details.")
