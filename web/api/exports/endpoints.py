"""Exports: all posts, comments or signals that meet the filters of the lists, or observations, as one file."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from signalflow.clock import utcnow
from signalflow.exports.formats import MEDIA_TYPES, Format, format_of
from signalflow.exports.pseudonyms import Pseudonyms
from signalflow.exports.tables import TABLES, TableName
from signalflow.storage.export_pages import pages_of_comments, pages_of_history, pages_of_posts, pages_of_signals
from web.api.dependencies import ServicesOf
from web.api.exports.parameters import CommentExport, ExportParameters, HistoryExport, PostExport, SignalExport
from web.problems import OF_READS
from web.services import Services

Pages = AsyncGenerator[list[dict[str, Any]]]

router = APIRouter(tags=["exports"])


class _File(StreamingResponse):
    """An answer that closes its parts also when the client goes away, so that its slot is free again."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes], media_type: str, file_name: str) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{file_name}"', "Cache-Control": "no-store"}
        super().__init__(_with_first(first, rest), media_type=media_type, headers=headers)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._rest.aclose()


_RESPONSES = OF_READS | {
    200: {"description": "The file.", "content": {name.partition(";")[0]: {} for name in MEDIA_TYPES.values()}}
}


@router.get("/api/export/posts/", summary="Posts as a file", response_class=StreamingResponse, responses=_RESPONSES)
async def export_posts(services: ServicesOf, parameters: Annotated[PostExport, Query()]) -> Response:
    """All posts that meet the filters, newest first, with their texts. The file is never in memory as a whole.

    A transfer that breaks was not ended as HTTP ends it. Cut the file behind its last whole line, and go on with
    `after`.
    """
    pages = pages_of_posts(services.reads, parameters.filters, now=utcnow(), after=parameters.after)
    return await _file(services, "posts", pages, parameters)


@router.get(
    "/api/export/comments/", summary="Comments as a file", response_class=StreamingResponse, responses=_RESPONSES
)
async def export_comments(services: ServicesOf, parameters: Annotated[CommentExport, Query()]) -> Response:
    """All comments that meet the filters, newest first, as `/api/export/posts/` gives posts."""
    pages = pages_of_comments(services.reads, parameters.filters, after=parameters.after)
    return await _file(services, "comments", pages, parameters)


@router.get(
    "/api/export/history/",
    summary="The observations of posts as a file",
    response_class=StreamingResponse,
    responses=_RESPONSES,
)
async def export_history(services: ServicesOf, parameters: Annotated[HistoryExport, Query()]) -> Response:
    """What was observed of all posts that meet the filters: of the newest post first, of each post the oldest first.

    Numbers only. Otherwise as `/api/export/posts/`.
    """
    pages = pages_of_history(services.reads, parameters.filters, now=utcnow(), after=parameters.after)
    return await _file(services, "history", pages, parameters)


@router.get("/api/export/signals/", summary="Signals as a file", response_class=StreamingResponse, responses=_RESPONSES)
async def export_signals(services: ServicesOf, parameters: Annotated[SignalExport, Query()]) -> Response:
    """All signals that meet the filters, the latest begun first, with the numbers that say so.

    `inputs` is a JSON object. Otherwise as `/api/export/posts/`.
    """
    pages = pages_of_signals(services.reads, parameters.filters, after=parameters.after)
    return await _file(services, "signals", pages, parameters)


async def _file(services: Services, table: TableName, pages: Pages, parameters: ExportParameters) -> Response:
    parameters.check()
    writer = format_of(parameters.format, TABLES[table])
    key = services.settings.pseudonym_key.get_secret_value() or Pseudonyms.new_key()
    names = Pseudonyms(key) if parameters.pseudonyms else None
    parts = _parts(services, writer, pages, names, continues=parameters.after is not None)
    # What fails before the first part is answered as a problem.
    first = await anext(parts)
    return _File(first, parts, MEDIA_TYPES[parameters.format], f"{table}.{parameters.format}")


async def _parts(
    services: Services, writer: Format, pages: Pages, names: Pseudonyms | None, *, continues: bool
) -> AsyncGenerator[bytes]:
    def written(page: list[dict[str, Any]]) -> bytes:
        return writer.rows(page if names is None else [names.row(row) for row in page])

    with services.exports.taken():
        async with aclosing(pages):
            begin = b"" if continues else writer.begin()
            async for page in pages:
                # In a thread: a page takes some milliseconds, a row group of Parquet more.
                yield begin + await asyncio.to_thread(written, page)
                begin = b""
            yield begin + await asyncio.to_thread(writer.end)


async def _with_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for part in rest:
        yield part
