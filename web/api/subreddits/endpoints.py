"""The watched subreddits. All users read them, operators change them. The poller follows within a minute."""

import csv
import io
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Path, Query, Response

from signalflow.clock import utcnow
from signalflow.domain.subreddits import Priority
from signalflow.errors import Invalid
from signalflow.reddit.subreddits import COLUMNS, OPTIONAL_COLUMNS, parse_subreddits
from signalflow.storage.subreddit_changes import (
    Change,
    add_subreddits,
    change_subreddits,
    put_subreddits,
    remove_subreddits,
)
from signalflow.storage.subreddits import SubredditRow, list_subreddits, named_subreddits
from web.access import Operator, Reader
from web.api.dependencies import CacheOf, PoolOf, SettingsOf
from web.api.subreddits.schemas import (
    Added,
    Changed,
    ChangedMany,
    Imported,
    Name,
    Removed,
    Status,
    SubredditOut,
    SubredditPage,
)
from web.api.subreddits.view import View
from web.problems import InvalidParameter, documented

MOST_ROWS_A_PAGE = 1000
MOST_CSV_CHARACTERS = 1_000_000

router = APIRouter(tags=["subreddits"])

READ_PROBLEMS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
WRITE_PROBLEMS = READ_PROBLEMS | documented(HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
NAMED_PROBLEMS = documented(HTTPStatus.NOT_FOUND)

NameInPath = Annotated[Name, Path(description="Name, in any case.", examples=["rust"])]


@router.get("/api/subreddits/", summary="Watched subreddits, by name", responses=READ_PROBLEMS)
async def list_watched(
    pool: PoolOf,
    cache: CacheOf,
    settings: SettingsOf,
    _: Reader,
    search: Annotated[str | None, Query(max_length=64, description="Part of the name, in any case.")] = None,
    priority: Annotated[Priority | None, Query(description="Only this priority.")] = None,
    status: Annotated[Status | None, Query(description="Only subreddits in this status.")] = None,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
    page_size: Annotated[int, Query(ge=1, le=MOST_ROWS_A_PAGE, description="Most subreddits in a page.")] = 500,
) -> SubredditPage:
    """Each has Reddit's last answer about it, the time of its last poll, and who changed it last.

    `posts_per_hour` is at most 30 s old.
    """
    view = await View.of(pool, cache, settings, utcnow())
    items = [
        item
        for item in view.shown(await list_subreddits(pool))
        if (search is None or search.lower() in item.name.lower())
        and priority in (None, item.priority)
        and status in (None, item.status)
        and (cursor is None or item.name.lower() > cursor)
    ]
    following = items[page_size - 1].name.lower() if len(items) > page_size else None
    return SubredditPage(items=items[:page_size], next=following)


@router.post("/api/subreddits/", summary="Watch subreddits", responses=WRITE_PROBLEMS)
async def add(pool: PoolOf, cache: CacheOf, settings: SettingsOf, who: Operator, added: Added) -> list[SubredditOut]:
    """The poller polls them within a minute, if its budget allows. They are `pending` until Reddit has shown them."""
    change = Change(priority=added.priority, interval_seconds=added.interval_seconds)
    now = utcnow()
    rows = await add_subreddits(pool, added.names, change, by=who.name, now=now)
    return (await View.of(pool, cache, settings, now)).shown(rows)


@router.patch("/api/subreddits/", summary="Change many subreddits", responses=WRITE_PROBLEMS)
async def change_many(
    pool: PoolOf, cache: CacheOf, settings: SettingsOf, who: Operator, changed: ChangedMany
) -> list[SubredditOut]:
    """Changes all of them, or none when one is not watched."""
    now = utcnow()
    rows = await change_subreddits(pool, changed.names, changed.change, by=who.name, now=now)
    return (await View.of(pool, cache, settings, now)).shown(rows)


@router.post("/api/subreddits/remove/", summary="Stop watching subreddits", status_code=204, responses=WRITE_PROBLEMS)
async def remove_many(pool: PoolOf, who: Operator, removed: Removed) -> None:
    """Removes all of them, or none when one is not watched. Their posts stay."""
    await remove_subreddits(pool, removed.names, by=who.name, now=utcnow())


@router.get(
    "/api/subreddits.csv",
    summary="Watched subreddits as CSV",
    response_class=Response,
    responses=READ_PROBLEMS | {200: {"content": {"text/csv": {}}, "description": "A file that the import accepts."}},
)
async def export(pool: PoolOf, _: Reader) -> Response:
    """The file has the columns that the import reads."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *OPTIONAL_COLUMNS])
    for row in await list_subreddits(pool):
        flags = (str(flag).lower() for flag in (row.paused, row.comments))
        writer.writerow([row.name, row.interval_seconds, row.priority, *flags, " ".join(row.post_sort)])
    disposition = 'attachment; filename="subreddits.csv"'
    return Response(text.getvalue(), media_type="text/csv", headers={"Content-Disposition": disposition})


@router.post("/api/subreddits.csv", summary="Import watched subreddits from CSV", responses=WRITE_PROBLEMS)
async def import_(
    pool: PoolOf,
    who: Operator,
    content: Annotated[
        str,
        Body(
            media_type="text/csv",
            max_length=MOST_CSV_CHARACTERS,
            description="Header `name,interval_seconds,priority`, and optionally `paused`, `comments` and `post_sort`.",
            examples=["name,interval_seconds,priority\nrust,60,fast\n"],
        ),
    ],
    dry_run: Annotated[bool, Query(description="Report what would change, and change nothing.")] = False,
) -> Imported:
    """Imports the whole file, or nothing when a line is invalid. Subreddits outside of the file stay unchanged."""
    try:
        # Spreadsheets begin a file with a byte order mark.
        wanted = parse_subreddits(content.removeprefix("\ufeff"), "body")
    except Invalid as error:
        raise InvalidParameter("body", str(error)) from error
    before = {row.name.lower(): row.watched for row in await named_subreddits(pool, [row.name for row in wanted])}
    added = [row.name for row in wanted if row.name.lower() not in before]
    # Names compare without case: another spelling changes nothing.
    changed = [row.name for row in wanted if replace(before.get(row.name.lower(), row), name=row.name) != row]
    if not dry_run:
        await put_subreddits(pool, wanted, by=who.name, now=utcnow())
    unchanged = len(wanted) - len(added) - len(changed)
    return Imported(rows=len(wanted), added=added, changed=changed, unchanged=unchanged, dry_run=dry_run)


@router.get("/api/subreddits/{name}/", summary="One watched subreddit", responses=READ_PROBLEMS | NAMED_PROBLEMS)
async def detail(pool: PoolOf, cache: CacheOf, settings: SettingsOf, _: Reader, name: NameInPath) -> SubredditOut:
    """The same fields as in the list."""
    rows = await _watched(pool, name)
    return (await View.of(pool, cache, settings, utcnow())).shown(rows)[0]


@router.patch("/api/subreddits/{name}/", summary="Change a subreddit", responses=WRITE_PROBLEMS | NAMED_PROBLEMS)
async def change(
    pool: PoolOf, cache: CacheOf, settings: SettingsOf, who: Operator, name: NameInPath, changed: Changed
) -> SubredditOut:
    """Pause it, resume it, follow its comments or not, choose its listings, or change how closely it is watched."""
    await _watched(pool, name)
    now = utcnow()
    rows = await change_subreddits(pool, [name], changed.change, by=who.name, now=now)
    return (await View.of(pool, cache, settings, now)).shown(rows)[0]


@router.delete(
    "/api/subreddits/{name}/",
    summary="Stop watching a subreddit",
    status_code=204,
    responses=WRITE_PROBLEMS | NAMED_PROBLEMS,
)
async def remove(pool: PoolOf, who: Operator, name: NameInPath) -> None:
    """Its posts stay."""
    await _watched(pool, name)
    await remove_subreddits(pool, [name], by=who.name, now=utcnow())


async def _watched(pool: PoolOf, name: str) -> list[SubredditRow]:
    rows = await named_subreddits(pool, [name])
    if not rows:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"r/{name} is not watched; POST /api/subreddits/ adds it")
    return rows
