"""The dashboard's pages: one shell for all of them; its modules fill it from the API. Nothing in it is secret."""

from http import HTTPStatus
from os import PathLike, stat_result
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

HERE = Path(__file__).parent
# A browser revalidates every module at each visit, so modules of two versions never mix.
NO_CACHE = {"Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


class _Static(StaticFiles):
    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(NO_CACHE)
        return response


def mount_static(app: FastAPI) -> None:
    """Serve modules, styles and drawings from our own address."""
    app.mount("/static", _Static(directory=HERE / "static"), name="static")


def not_found() -> FileResponse:
    """The page for an address that leads nowhere."""
    return FileResponse(HERE / "not_found.html", HTTPStatus.NOT_FOUND, media_type="text/html", headers=NO_CACHE)


@router.get("/")
@router.get("/posts/{post_id}")
@router.get("/signals")
@router.get("/topics")
@router.get("/topics/{topic_id}")
@router.get("/digest")
@router.get("/alerts")
@router.get("/analytics")
@router.get("/subreddits")
@router.get("/operations")
@router.get("/docs")
async def page() -> FileResponse:
    """The shell. The browser decides by the address which page it shows."""
    return FileResponse(HERE / "index.html", media_type="text/html", headers=NO_CACHE)
