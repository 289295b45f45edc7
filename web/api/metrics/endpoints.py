"""The metrics of this API process, for Prometheus."""

from http import HTTPStatus

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from signalflow.metrics import API_REGISTRY
from web.problems import documented

router = APIRouter(tags=["health"])


class Exposition(Response):
    """Prometheus text. The content type names the version of the format."""

    media_type = "text/plain"


@router.get(
    "/metrics",
    summary="Metrics of this API process, as Prometheus text",
    response_class=Exposition,
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
async def metrics() -> Response:
    """Requests by route, the live stream, the process. Each worker serves its own metrics at its own `/metrics`.

    Prometheus may send the token that opens workers to it (SIGNALFLOW_WORKER_TOKEN).
    """
    # Set as a header, because Starlette would append the charset to a media type a second time.
    headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    return Response(generate_latest(API_REGISTRY), headers=headers)
