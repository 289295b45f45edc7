"""Reads from the API for somebody else, with their key, and says in words what a reader can do when it refuses."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import httpx
import orjson

from signalflow.errors import Invalid, Retryable, SignalflowError

Parameter: TypeAlias = str | int | bool | Sequence[str] | None

_MAKE_A_KEY = "`signalflow key create USER` makes one"


class Api:
    """The API at an address. It is only ever read from."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(
        self, path: str, authorization: str | None, parameters: Mapping[str, Parameter] | None = None
    ) -> dict[str, Any]:
        """The answer to a request, without the parameters that are None, and without what it does not tell (null).

        Raises Invalid for what the API refuses, Retryable while it cannot answer, and SignalflowError without a key
        that it accepts.
        """
        given = {name: _text(value) for name, value in (parameters or {}).items() if value is not None}
        headers = {} if authorization is None else {"Authorization": authorization}
        try:
            response = await self._client.get(path, params=given, headers=headers)
            answer = orjson.loads(response.content)
        except httpx.HTTPError as error:
            raise Retryable(f"the API at {self._client.base_url} does not answer: {error or repr(error)}") from error
        except orjson.JSONDecodeError as error:
            raise Retryable(f"{self._client.base_url} answers {response.status_code} and no JSON") from error
        if response.is_success:
            told: dict[str, Any] = _told(answer)
            return told
        raise _refusal(response.status_code, answer)


def _text(value: Parameter) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


def _told(value: Any) -> Any:
    """A value of JSON without members that are null: they would only fill an assistant's memory."""
    if isinstance(value, dict):
        return {name: _told(member) for name, member in value.items() if member is not None}
    return [_told(item) for item in value] if isinstance(value, list) else value


def _refusal(status: int, problem: Any) -> SignalflowError:
    problem = problem if isinstance(problem, dict) else {}
    faults = "; ".join(f"{fault['parameter']} {fault['message']}" for fault in problem.get("errors") or ())
    detail = faults or problem.get("detail") or f"the API answered {status}"
    if status == httpx.codes.UNAUTHORIZED:
        return SignalflowError(f"no API key, or one that is not valid: {_MAKE_A_KEY} ({detail})")
    if status == httpx.codes.FORBIDDEN:
        return SignalflowError(f"this API key may not read: {_MAKE_A_KEY}, with the scope read ({detail})")
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Retryable(detail)
    return Invalid(detail)
