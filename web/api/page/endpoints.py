"""The page at `/`: what is taking off, and the newest posts."""

from datetime import datetime
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from signalflow.clock import utcnow
from signalflow.errors import SignalflowError
from signalflow.settings import Settings
from signalflow.storage.feed import latest_posts, taking_off
from signalflow.storage.pool import Pool
from web.api.dependencies import PoolOf, SettingsOf
from web.api.page.render import render_error, render_lists, render_page

STATIC = Path(__file__).parent / "static"
MOST_TAKING_OFF = 12
NEWEST = 40
NO_STORE = {"Cache-Control": "no-store"}

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)


def mount_static(app: FastAPI) -> None:
    """Serve style, script and icon from our own address."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


@router.get("/")
async def page(pool: PoolOf, settings: SettingsOf) -> HTMLResponse:
    """The whole page."""
    content, status = await _lists(pool, settings, utcnow())
    return HTMLResponse(render_page(content), status, headers=NO_STORE)


@router.get("/lists")
async def lists(pool: PoolOf, settings: SettingsOf) -> HTMLResponse:
    """The lists alone, which the page puts in place every few seconds."""
    content, status = await _lists(pool, settings, utcnow())
    return HTMLResponse(content, status, headers=NO_STORE)


async def _lists(pool: Pool, settings: Settings, now: datetime) -> tuple[str, int]:
    try:
        rising = await taking_off(pool, MOST_TAKING_OFF, now)
        newest = await latest_posts(pool, before=None, limit=NEWEST)
    except SignalflowError as error:
        log.warning("page_unavailable", error=str(error))
        return render_error(), 503
    # Posts of another API for Reddit have no page on reddit.com.
    link_base = "" if settings.reddit_base_url else "https://www.reddit.com"
    return render_lists(rising, newest, now, link_base), 200
