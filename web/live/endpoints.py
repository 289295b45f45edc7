"""The live stream's addresses: a WebSocket, server-sent events, and the document that describes both."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, WebSocket
from starlette.exceptions import HTTPException
from starlette.responses import Response

from signalflow.errors import Invalid, Retryable
from web.api.auth.access import Reader, principal_of_socket
from web.api.problems import documented, refusal
from web.live.asyncapi import document
from web.live.events import EventStream
from web.live.places import Refused
from web.live.socket import converse
from web.live.subscription import may_ask, parameters, resume_token, wanted

RETRY_AFTER = {"Retry-After": "5"}

router = APIRouter(tags=["live"])
# A socket finds out by itself who asks: a router's dependencies are made for requests.
sockets = APIRouter()


@sockets.websocket("/ws/posts")
@sockets.websocket("/ws/posts/")
async def posts_socket(websocket: WebSocket) -> None:
    """Whatever is wrong with the request is answered before the handshake, with a problem+json."""
    denial = await _denial(websocket)
    if denial is not None:
        await websocket.send_denial_response(denial)


async def _denial(websocket: WebSocket) -> Response | None:
    """Serve the socket to its end, or say why not."""
    state = websocket.app.state
    try:
        principal = await principal_of_socket(websocket)
        if not may_ask(websocket, state.settings):
            return refusal(403, "Pages of other origins may not open the live stream (setting live_origins).")
        if principal is None:
            return refusal(401, "Sign in: send `Authorization: Bearer`, the cookie, or the subprotocol with the token.")
        filter_, since = wanted(websocket.query_params), resume_token(websocket)
        with state.live.admitted(principal.name):
            await converse(websocket, state.live, filter_, since)
    except Invalid as error:
        return refusal(422, f"{error.field}: {error}")
    except Retryable:
        return refusal(503, "Who you are cannot be looked up at the moment.", RETRY_AFTER)
    except Refused as error:
        return refusal(error.status, str(error), RETRY_AFTER)
    return None


@router.get("/api/stream/", include_in_schema=False)
@router.get(
    "/api/stream",
    summary="Observations as they come, as server-sent events",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses=documented(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
    openapi_extra={"parameters": parameters()},
)
async def stream(request: Request, principal: Reader) -> Response:
    """Each event is a frame as in /api/asyncapi.json; its id is the resume token. The stream has no end: an `error` frame says why it ends."""
    if not may_ask(request, request.app.state.settings):
        raise HTTPException(403, "Pages of other origins may not open the live stream (setting live_origins).")
    return EventStream(request, principal, wanted(request.query_params), resume_token(request))


@router.get("/api/asyncapi.json", summary="The topics and the live stream, as an AsyncAPI 3 document")
async def asyncapi(request: Request, _: Reader) -> dict[str, Any]:
    return document(request.app.state.settings)
