"""What this process counts, for Prometheus."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from signalflow.metrics import REGISTRY
from web.access import Reader
from web.api.parameters import nothing_else
from web.problems import documented

router = APIRouter(tags=["health"], dependencies=[Depends(nothing_else)])


class Exposition(Response):
    """Prometheus text; the version of the format stands in the content type."""

    media_type = "text/plain"


@router.get(
    "/metrics",
    summary="What this process counts, as Prometheus text",
    response_class=Exposition,
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
async def metrics(_: Reader) -> Response:
    """Workers have a `/metrics` of their own; here the live stream (`signalflow_live_*`) has its numbers."""
    # As a header: a media type given to the response would get its charset a second time.
    headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    return Response(generate_latest(REGISTRY), headers=headers)
