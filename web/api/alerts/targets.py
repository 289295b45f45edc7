"""Targets of alerts: shown without their secrets to all, changed and tried by operators."""

from dataclasses import asdict
from uuid import UUID

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from signalflow.alerts.delivery import WebTarget
from signalflow.alerts.shapes import Shape
from signalflow.alerts.trial import send_trial, send_trial_mail
from signalflow.clock import utcnow
from signalflow.errors import Invalid
from signalflow.storage.alert_targets import (
    add_target,
    change_target,
    list_targets,
    one_target,
    remove_target,
    rotate_secret,
    sent_to,
)
from web.access import Operator
from web.api.alerts.parameters import CONFLICT, NAMED, OF_WRITES, TargetId
from web.api.alerts.schemas import ChangedTarget, MadeTargetOut, NewTarget, TargetOut, Targets, TrialOut
from web.api.answers import json_answer
from web.api.dependencies import PoolOf, SettingsOf
from web.problems import OF_READS

# Secrets must not stay in a cache.
NO_STORE = {"Cache-Control": "no-store"}

router = APIRouter(prefix="/api/alerts/targets", tags=["alerts"])


@router.get("/", summary="Targets, the oldest first", response_model=Targets, responses=OF_READS)
async def list_all(pool: PoolOf) -> Response:
    """Of URLs scheme and host alone are shown, because the rest is often a secret."""
    return json_answer({"items": await list_targets(pool)})


@router.post("/", summary="Make a target", status_code=201, response_model=MadeTargetOut, responses=OF_WRITES)
async def add(pool: PoolOf, who: Operator, response: Response, given: NewTarget) -> MadeTargetOut:
    """The answer has the signing secret, or the path of the feed, which are not shown again."""
    response.headers.update(NO_STORE)
    made = await add_target(pool, given.name, given.shape, given.address, given.digest_minutes, by=who.name)
    return MadeTargetOut.of(made)


@router.get("/{id}/", summary="One target", response_model=TargetOut, responses=OF_READS | NAMED)
async def one(pool: PoolOf, id: TargetId) -> Response:
    """The same fields as in the list."""
    target = await one_target(pool, id)
    if target is None:
        raise _unknown(id)
    return json_answer(target)


@router.patch("/{id}/", summary="Change a target", response_model=TargetOut, responses=OF_WRITES | NAMED)
async def change(pool: PoolOf, who: Operator, id: TargetId, changed: ChangedTarget) -> Response:
    """Give it another name or address, or enable it again."""
    target = await change_target(pool, id, changed.change, by=who.name)
    if target is None:
        raise _unknown(id)
    return json_answer(target)


@router.delete("/{id}/", summary="Remove a target", status_code=204, responses=OF_WRITES | NAMED)
async def remove(pool: PoolOf, who: Operator, id: TargetId) -> None:
    """Its deliveries go with it; rules stay."""
    if not await remove_target(pool, id, by=who.name):
        raise _unknown(id)


@router.post(
    "/{id}/test/",
    summary="Send a test alert now",
    response_model=TrialOut,
    responses=OF_WRITES | NAMED | CONFLICT,
)
async def try_out(pool: PoolOf, settings: SettingsOf, _: Operator, id: TargetId) -> Response:
    """Once, and answers what came back. It is tried also while the target is disabled."""
    now = utcnow()
    target = await sent_to(pool, id, now)
    if target is None:
        raise _unknown(id)
    if target.address is None:
        raise HTTPException(409, "A feed is read by its link: nothing is sent to it.")
    if target.shape != "mail":
        web = WebTarget.of(target.address, target.secrets)
        return json_answer(asdict(await send_trial(web, Shape(target.shape), settings, now)))
    try:
        return json_answer(asdict(await send_trial_mail(target.address, settings, now)))
    except Invalid as error:
        raise HTTPException(409, str(error)) from error


@router.post(
    "/{id}/rotate/",
    summary="Make a new secret",
    response_model=MadeTargetOut,
    responses=OF_WRITES | NAMED | CONFLICT,
)
async def rotate(pool: PoolOf, who: Operator, response: Response, id: TargetId) -> MadeTargetOut:
    """The signing secret of before signs too for a day. A feed's link of before leads nowhere at once."""
    response.headers.update(NO_STORE)
    try:
        made = await rotate_secret(pool, id, by=who.name)
    except Invalid as error:
        raise HTTPException(409, str(error)) from error
    if made is None:
        raise _unknown(id)
    return MadeTargetOut.of(made)


def _unknown(id_: UUID) -> HTTPException:
    return HTTPException(404, f"There is no target {id_}.")
