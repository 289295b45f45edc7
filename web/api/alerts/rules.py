"""Rules of alerts: read by all, changed by operators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from starlette.exceptions import HTTPException

from signalflow.storage.alert_rules import add_rule, change_rule, one_rule, remove_rule, rules_page
from web.access import Operator
from web.api.alerts.parameters import NAMED, OF_WRITES, PageParameters, RuleId, checked_query
from web.api.alerts.schemas import ChangedRule, NewRule, RuleOut, RulePage
from web.api.answers import json_answer
from web.api.cursors import encode_key
from web.api.dependencies import PoolOf
from web.problems import OF_READS

router = APIRouter(prefix="/api/alerts/rules", tags=["alerts"])


@router.get("/", summary="Rules, the newest first", response_model=RulePage, responses=OF_READS)
async def list_rules(pool: PoolOf, parameters: Annotated[PageParameters, Query()]) -> Response:
    """Each with when it last met something new."""
    limit = parameters.page_size
    found = await rules_page(pool, before=parameters.before, limit=limit + 1)
    page = found[:limit]
    following = encode_key(page[-1].key, parameters.walk) if len(found) > limit else None
    return json_answer({"items": page, "next": following})


@router.post("/", summary="Make a rule", status_code=201, response_model=RuleOut, responses=OF_WRITES)
async def add(pool: PoolOf, who: Operator, given: NewRule) -> Response:
    """Posts and comments of the last two days that meet it already are not told. A wrong query names the place."""
    rule = await add_rule(pool, given.name, checked_query(given.query), given.target_ids, by=who.name)
    return json_answer(rule, 201)


@router.get("/{id}/", summary="One rule", response_model=RuleOut, responses=OF_READS | NAMED)
async def one(pool: PoolOf, id: RuleId) -> Response:
    """The same fields as in the list."""
    rule = await one_rule(pool, id)
    if rule is None:
        raise _unknown(id)
    return json_answer(rule)


@router.patch("/{id}/", summary="Change a rule", response_model=RuleOut, responses=OF_WRITES | NAMED)
async def change(pool: PoolOf, who: Operator, id: RuleId, changed: ChangedRule) -> Response:
    """Pause it, resume it, or change its name, its query or its targets. Deliveries that wait are sent."""
    if changed.query is not None:
        checked_query(changed.query)
    rule = await change_rule(pool, id, changed.change, by=who.name)
    if rule is None:
        raise _unknown(id)
    return json_answer(rule)


@router.delete("/{id}/", summary="Remove a rule", status_code=204, responses=OF_WRITES | NAMED)
async def remove(pool: PoolOf, who: Operator, id: RuleId) -> None:
    """What it met, and its deliveries, go with it."""
    if not await remove_rule(pool, id, by=who.name):
        raise _unknown(id)


def _unknown(id_: UUID) -> HTTPException:
    return HTTPException(404, f"There is no rule {id_}.")
