"""The endpoints of the live stream: a WebSocket, server-sent events, and the document that describes both."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, WebSocket
from starlette.exceptions import HTTPException
from starlette.responses import Response

from signalflow.errors import Invalid, Retryable
from signalflow.settings import Settings
from web.access import Principal, Reader, principal_of_socket
from web.api.dependencies import CommentHubOf, HubOf, SettingsOf, SignalHubOf
from web.api.live.asyncapi import document
from web.api.live.events import EventStream
from web.api.live.socket import serve_socket
from web.api.live.subscription import filter_in, is_origin_allowed, parameters, resume_token
from web.live.admission import NotAdmitted
from web.live.comments import COMMENT_FILTERS
from web.live.hub import Hub
from web.live.signals import SIGNAL_FILTERS
from web.problems import RETRY_LATER, documented, refusal
from web.services import services_of

router = APIRouter(tags=["live"])
# A socket checks by itself who asks: the dependencies of a router are made for requests.
sockets = APIRouter()


@sockets.websocket("/ws/posts/")
async def posts_socket(websocket: WebSocket) -> None:
    """A request that is wrong is refused before the handshake, with a problem+json."""
    denial = await _denial(websocket, services_of(websocket).hub)
    if denial is not None:
        await websocket.send_denial_response(denial)


@sockets.websocket("/ws/signals/")
async def signals_socket(websocket: WebSocket) -> None:
    """As the socket of posts."""
    denial = await _denial(websocket, services_of(websocket).signal_hub)
    if denial is not None:
        await websocket.send_denial_response(denial)


@sockets.websocket("/ws/comments/")
async def comments_socket(websocket: WebSocket) -> None:
    """As the socket of posts."""
    denial = await _denial(websocket, services_of(websocket).comment_hub)
    if denial is not None:
        await websocket.send_denial_response(denial)


async def _denial(websocket: WebSocket, hub: Hub) -> Response | None:
    """Serve the socket to its end; returns a refusal if it was not opened."""
    services = services_of(websocket)
    try:
        principal = await principal_of_socket(websocket)
        if not is_origin_allowed(websocket, services.settings):
            return refusal(403, "Pages of other origins may not open the live stream (setting live_origins).")
        if principal is None:
            return refusal(401, "Sign in: send `Authorization: Bearer`, the cookie, or the subprotocol with the token.")
        filter_, since = filter_in(websocket.query_params, hub.kind.filters), resume_token(websocket)
        with hub.admitted(principal.name):
            await serve_socket(websocket, hub, filter_, since)
    except Invalid as error:
        return refusal(422, f"{error.field}: {error}")
    except Retryable:
        return refusal(503, "Who you are cannot be looked up at the moment.", RETRY_LATER)
    except NotAdmitted as error:
        return refusal(error.status, str(error), RETRY_LATER)
    return None


_OF_STREAMS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


@router.get(
    "/api/stream",
    summary="Observations as they come, as server-sent events",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses=_OF_STREAMS,
    openapi_extra={"parameters": parameters()},
)
async def stream(request: Request, principal: Reader, settings: SettingsOf, hub: HubOf) -> Response:
    """Each event is a frame as in /api/asyncapi.json; its id is the resume token.

    The stream goes on until the client or the server ends it; an `error` frame says why the server did.
    """
    return _event_stream(request, principal, settings, hub)


@router.get(
    "/api/comments/stream",
    summary="Comments as they come, as server-sent events",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses=_OF_STREAMS,
    openapi_extra={"parameters": parameters(COMMENT_FILTERS)},
)
async def comment_stream(request: Request, principal: Reader, settings: SettingsOf, hub: CommentHubOf) -> Response:
    """The comments of subreddits whose comments are followed, as the poller publishes them.

    Frames, resume tokens and limits are those of `/api/stream`. Comments have no sentiment here: it is computed when
    they are stored.
    """
    return _event_stream(request, principal, settings, hub)


@router.get(
    "/api/signals/stream",
    summary="Signals as they begin, change and end, as server-sent events",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses=_OF_STREAMS,
    openapi_extra={"parameters": parameters(SIGNAL_FILTERS)},
)
async def signal_stream(request: Request, principal: Reader, settings: SettingsOf, hub: SignalHubOf) -> Response:
    """What takes off and what is unusual, as soon as an observation shows it.

    Frames, resume tokens and limits are those of `/api/stream`. What the posts behind a signal are about is not told
    here: `/api/signals/{id}/` knows it, some seconds later.
    """
    return _event_stream(request, principal, settings, hub)


def _event_stream(request: Request, principal: Principal, settings: Settings, hub: Hub) -> Response:
    if not is_origin_allowed(request, settings):
        raise HTTPException(403, "Pages of other origins may not open the live stream (setting live_origins).")
    wanted = filter_in(request.query_params, hub.kind.filters)
    return EventStream(request, hub, principal, wanted, resume_token(request))


@router.get("/api/asyncapi.json", summary="The topics and the live stream, as an AsyncAPI 3 document")
async def asyncapi(settings: SettingsOf, _: Reader) -> dict[str, Any]:
    return document(settings)
