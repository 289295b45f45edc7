"""The run history: what workers did."""

from dataclasses import asdict
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from signalflow.domain.words import RunKind, RunOutcome
from signalflow.storage.runs import RunFilter, runs_page
from web.api.answers import json_answer
from web.api.cursors import Key, decode_key, encode_key
from web.api.dependencies import ReadsOf
from web.api.parameters import Moment
from web.api.runs.schemas import RunPage
from web.problems import OF_READS, InvalidParameter

MOST_RUNS_A_PAGE = 200

router = APIRouter(tags=["operations"])


class RunParameters(BaseModel):
    """Which runs, and which page of them."""

    kind: list[RunKind] = Field(
        [], max_length=len(get_args(RunKind)), description="Of one of these kinds; may be given several times."
    )
    outcome: list[RunOutcome] = Field(
        [], max_length=len(get_args(RunOutcome)), description="With one of these outcomes; may be given several times."
    )
    since: Moment | None = Field(None, description="Begun from then on (ISO 8601 with a time zone).")
    until: Moment | None = Field(None, description="Begun before then (ISO 8601 with a time zone).")
    cursor: str | None = Field(None, max_length=128, description="`next` of the page before.")
    page_size: int = Field(50, ge=1, le=MOST_RUNS_A_PAGE, description="Most runs in a page.")

    @property
    def walk(self) -> str:
        """What a cursor belongs to: the filters, without the place in the list."""
        return "runs " + self.model_dump_json(exclude={"cursor", "page_size"}, exclude_defaults=True)

    @property
    def before(self) -> Key | None:
        """The run before the page. Raises InvalidParameter for a text that is no cursor of this walk."""
        try:
            return None if self.cursor is None else decode_key(self.cursor, self.walk)
        except ValueError as error:
            raise InvalidParameter("cursor", str(error)) from error


@router.get("/api/runs/", summary="What workers did, newest first", response_model=RunPage, responses=OF_READS)
async def list_runs(reads: ReadsOf, parameters: Annotated[RunParameters, Query()]) -> Response:
    """A row for each minute of polling and each job. Workers tell every five seconds how their runs stand."""
    wanted = RunFilter(parameters.kind, parameters.outcome, parameters.since, parameters.until)
    found = await runs_page(reads, wanted, before=parameters.before, limit=parameters.page_size + 1)
    page = found[: parameters.page_size]
    following = (page[-1].started_at, page[-1].id) if len(found) > parameters.page_size else None
    return json_answer(
        {
            "items": [asdict(run) for run in page],
            "next": None if following is None else encode_key(following, parameters.walk),
        }
    )
