"""The audit log: who changed what."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from signalflow.storage.audit import audit_page
from web.access import Admin
from web.api.dependencies import PoolOf
from web.problems import InvalidParameter, documented

MOST_ENTRIES_A_PAGE = 200

router = APIRouter(tags=["audit"])


class AuditEntryOut(BaseModel):
    """One change."""

    id: int
    at: datetime
    who: str = Field(
        description="Name of the user; `cli:` and the operating system's account for the command line.",
        examples=["cli:ada"],
    )
    action: str = Field(description="What was done: the kind of object, a dot, a verb.", examples=["key.revoke"])
    target: str = Field(description="What was changed, such as a user or a subreddit.", examples=["ada"])
    details: dict[str, Any] = Field(description="Further facts; which ones depends on the action.")


class AuditPage(BaseModel):
    """A page of changes, newest first."""

    items: list[AuditEntryOut]
    next: str | None = Field(description="Give it as `cursor` to get the page after this one; null on the last page.")


@router.get(
    "/api/audit/",
    summary="Who changed what, newest first",
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR
    ),
)
async def list_changes(
    pool: PoolOf,
    _: Admin,
    cursor: Annotated[str | None, Query(max_length=19, description="`next` of the page before.")] = None,
    page_size: Annotated[int, Query(ge=1, le=MOST_ENTRIES_A_PAGE, description="Most entries in a page.")] = 50,
    who: Annotated[str | None, Query(max_length=128, description="Only changes by this name.")] = None,
    action: Annotated[str | None, Query(max_length=64, description="Only changes with this action.")] = None,
) -> AuditPage:
    """Changes of configuration, replays, users and keys. Needs the role admin."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and int(cursor) < 1 << 63):
        raise InvalidParameter("cursor", "not a cursor of this API")
    before = None if cursor is None else int(cursor)
    entries = await audit_page(pool, before=before, limit=page_size + 1, who=who, action=action)
    page = entries[:page_size]
    following = str(page[-1].id) if len(entries) > page_size else None
    return AuditPage(
        items=[AuditEntryOut.model_validate(entry, from_attributes=True) for entry in page], next=following
    )
