"""Sends a message again."""

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from signalflow.errors import Invalid
from signalflow.storage.alert_history import DeliveryFilter, deliveries_page, redeliver
from web.access import Operator
from web.api.alerts.parameters import CONFLICT, NAMED, OF_WRITES, DeliveryId
from web.api.alerts.schemas import DeliveryOut
from web.api.answers import json_answer
from web.api.dependencies import PoolOf, ReadsOf

router = APIRouter(prefix="/api/alerts/deliveries", tags=["alerts"])


@router.post(
    "/{id}/redeliver/",
    summary="Send a message again",
    response_model=DeliveryOut,
    responses=OF_WRITES | NAMED | CONFLICT,
)
async def send_again(pool: PoolOf, reads: ReadsOf, who: Operator, id: DeliveryId) -> Response:
    """It waits again under the same id, by which the receiver knows it, and is tried for a day."""
    try:
        if not await redeliver(pool, id, by=who.name):
            raise HTTPException(404, f"There is no delivery {id}.")
    except Invalid as error:
        raise HTTPException(409, str(error)) from error
    (delivery,) = await deliveries_page(reads, DeliveryFilter(id), before=None, limit=1)
    return json_answer(delivery)
