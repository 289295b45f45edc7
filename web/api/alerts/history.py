"""What rules met and what was sent for it, and what a query would have met."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from signalflow.clock import utcnow
from signalflow.storage.alert_history import DeliveryFilter, deliveries_page, matches_page
from signalflow.storage.alert_preview import preview
from web.api.alerts.parameters import OF_WRITES, DeliveryParameters, MatchParameters, checked_query
from web.api.alerts.schemas import DeliveryPage, MatchPage, Previewing, PreviewOut
from web.api.answers import json_answer
from web.api.cursors import encode_key
from web.api.dependencies import ReadsOf
from web.problems import OF_READS

router = APIRouter(prefix="/api/alerts", tags=["alerts"])


@router.post("/preview/", summary="What a query would have met", response_model=PreviewOut, responses=OF_WRITES)
async def try_query(reads: ReadsOf, given: Previewing) -> Response:
    """Posts and comments of the last seven days, by their numbers of now. A wrong query names the place."""
    return json_answer(await preview(reads, checked_query(given.query), utcnow()))


@router.get("/matches/", summary="What rules met, the newest first", response_model=MatchPage, responses=OF_READS)
async def list_matches(reads: ReadsOf, parameters: Annotated[MatchParameters, Query()]) -> Response:
    """News alone: without what met a rule already when it was saved."""
    limit = parameters.page_size
    found = await matches_page(reads, rule_id=parameters.rule_id, before=parameters.before, limit=limit + 1)
    page = found[:limit]
    following = encode_key(page[-1].key, parameters.walk) if len(found) > limit else None
    return json_answer({"items": page, "next": following})


@router.get("/deliveries/", summary="What was sent, the newest first", response_model=DeliveryPage, responses=OF_READS)
async def list_deliveries(reads: ReadsOf, parameters: Annotated[DeliveryParameters, Query()]) -> Response:
    """Messages with each try and its answer."""
    limit = parameters.page_size
    wanted = DeliveryFilter(None, parameters.rule_id, parameters.target_id, parameters.state)
    found = await deliveries_page(reads, wanted, before=parameters.before, limit=limit + 1)
    page = found[:limit]
    following = encode_key(page[-1].key, parameters.walk) if len(found) > limit else None
    return json_answer({"items": page, "next": following})
