"""Signals: pages of them, and one of them with its posts."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.exceptions import HTTPException

from signalflow.clock import utcnow
from signalflow.storage.signals import one_signal, posts_of, series_of, signals_page, what_is_known
from web.api.answers import columns, json_answer
from web.api.cursors import encode_key
from web.api.dependencies import ReadsOf
from web.api.parameters import Text
from web.api.signals.parameters import SignalListParameters
from web.api.signals.rows import series_of_rows, signal_of
from web.api.signals.schemas import SignalDetail, SignalPage
from web.problems import OF_READS, documented

router = APIRouter(tags=["signals"])

SignalId = Annotated[
    Text, Path(min_length=1, max_length=512, description="The id of the signal.", examples=["viral-1abc2d"])
]


@router.get(
    "/api/signals/", summary="What takes off and what is unusual", response_model=SignalPage, responses=OF_READS
)
async def list_signals(reads: ReadsOf, parameters: Annotated[SignalListParameters, Query()]) -> Response:
    """The latest begun first: those that go on, and those that have ended, for as long as they are kept.

    A walk through the pages repeats no signal, and leaves out none that was there at the first page.
    """
    limit = parameters.page_size
    found = await signals_page(reads, parameters.filters, before=parameters.before, limit=limit + 1)
    page = found[:limit]
    about = await what_is_known(reads, page)
    following = encode_key(page[-1].key, parameters.walk) if len(found) > limit else None
    return json_answer({"items": [signal_of(signal, about[signal.id]) for signal in page], "next": following})


@router.get(
    "/api/signals/{id}/",
    summary="One signal, with the posts behind it and the numbers around it",
    response_model=SignalDetail,
    responses=documented(HTTPStatus.NOT_FOUND) | OF_READS,
)
async def one(reads: ReadsOf, id: SignalId) -> Response:
    """Titles and keywords are those of now: of a post that was taken away there are none."""
    signal = await one_signal(reads, id)
    if signal is None:
        raise HTTPException(404, f"There is no signal {id}: it was never found, or is no longer kept.")
    about = await what_is_known(reads, [signal])
    posts = columns(await posts_of(reads, signal))
    series = series_of_rows(signal, await series_of(reads, signal, utcnow()))
    return json_answer(signal_of(signal, about[signal.id]) | {"posts": posts, "series": series})
