"""The endpoints of the live stream: a WebSocket, server-sent events, and the document that describes both."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, WebSocket
from starlette.exceptions import HTTPException
from starlette.responses import Response

from signalflow.errors import Invalid, Retryable
from web.access import Reader, principal_of_socket
from web.api.dependencies import SettingsOf
from web.api.live.asyncapi import document
from web.api.live.events import EventStream
from web.api.live.socket import serve_socket
from web.api.live.subscription import filter_in, is_origin_allowed, parameters, resume_token
from web.live.admission import NotAdmitted
from web.problems import RETRY_LATER, documented, refusal
from web.services import services_of

router = APIRouter(tags=["live"])
# A socket checks by itself who asks: the dependencies of a router are made for requests.
sockets = APIRouter()


@sockets.websocket("/ws/posts/")
async def posts_socket(websocket: WebSocket) -> None:
    """A request that is wrong is refused before the handshake, with a problem+json."""
    denial = await _denial(websocket)
    if denial is not None:
        await websocket.send_denial_response(denial)


async def _denial(websocket: WebSocket) -> Response | None:
    """Serve the socket to its end; returns a refusal if it was not opened."""
    services = services_of(websocket)
    try:
        principal = await principal_of_socket(websocket)
        if not is_origin_allowed(websocket, services.settings):
            return refusal(403, "Pages of other origins may not open the live stream (setting live_origins).")
        if principal is None:
            return refusal(401, "Sign in: send `Authorization: Bearer`, the cookie, or the subprotocol with the token.")
        filter_, since = filter_in(websocket.query_params), resume_token(websocket)
        with services.hub.admitted(principal.name):
            await serve_socket(websocket, services.hub, filter_, since)
    except Invalid as error:
        return refusal(422, f"{error.field}: {error}")
    except Retryable:
        return refusal(503, "Who you are cannot be looked up at the moment.", RETRY_LATER)
    except NotAdmitted as error:
        return refusal(error.status, str(error), RETRY_LATER)
    return None


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
async def stream(request: Request, principal: Reader, settings: SettingsOf) -> Response:
    """Each event is a frame as in /api/asyncapi.json; its id is the resume token.

    The stream goes on until the client or the server ends it; an `error` frame says why the server did.
    """
    if not is_origin_allowed(request, settings):
        raise HTTPException(403, "Pages of other origins may not open the live stream (setting live_origins).")
    return EventStream(request, principal, filter_in(request.query_params), resume_token(request))


@router.get("/api/asyncapi.json", summary="The topics and the live stream, as an AsyncAPI 3 document")
async def asyncapi(settings: SettingsOf, _: Reader) -> dict[str, Any]:
    return document(settings)
