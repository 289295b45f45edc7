"""How much was erased, and how quickly."""

from dataclasses import asdict

from fastapi import APIRouter, Response

from signalflow.storage.erasure import erasure_status
from web.api.answers import json_answer
from web.api.dependencies import PoolOf, SettingsOf
from web.api.erasure.schemas import Erasure
from web.problems import OF_READS

router = APIRouter(tags=["operations"])
# A record goes with its segment, which takes records of one day.
SEGMENT_DAYS = 1


@router.get("/api/erasure/", summary="Erasure of what was taken away", response_model=Erasure, responses=OF_READS)
async def erasure(pool: PoolOf, settings: SettingsOf) -> Response:
    """What authors, moderators or Reddit took away loses its text in the transaction that stores its removal."""
    kept = max(settings.topic_retention_days, settings.dead_letter_retention_days) + SEGMENT_DAYS
    return json_answer(asdict(await erasure_status(pool)) | {"kafka_days": kept})
