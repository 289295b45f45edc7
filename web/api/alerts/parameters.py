"""The query parameters of lists of alerts, and the problems of their endpoints."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, Field

from signalflow.domain.queries.language import QueryError, parse
from signalflow.domain.words import DeliveryState
from web.api.cursors import Key, decode_key
from web.problems import OF_READS, InvalidParameter, documented

NAMED = documented(HTTPStatus.NOT_FOUND)
CONFLICT = documented(HTTPStatus.CONFLICT)
OF_WRITES = OF_READS | documented(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

RuleId = Annotated[UUID, Path(description="Id of the rule.")]
TargetId = Annotated[UUID, Path(description="Id of the target.")]
DeliveryId = Annotated[UUID, Path(description="Id of the delivery.")]


class PageParameters(BaseModel):
    """Which page of a list."""

    cursor: str | None = Field(
        None, max_length=512, description="`next` of the page before, with the same filters; without it, the first."
    )
    page_size: int = Field(50, ge=1, le=200, description="Most items in a page.")

    @property
    def walk(self) -> str:
        """What a cursor belongs to: the list and its filters, without the place in it."""
        filters = self.model_dump_json(exclude={"cursor", "page_size"}, exclude_defaults=True)
        return f"{type(self).__name__} {filters}"

    @property
    def before(self) -> Key | None:
        """The item before the page. Raises InvalidParameter for a text that is no cursor of this walk."""
        try:
            return None if self.cursor is None else decode_key(self.cursor, self.walk)
        except ValueError as error:
            raise InvalidParameter("cursor", str(error)) from error


class MatchParameters(PageParameters):
    """Which matches."""

    rule_id: UUID | None = Field(None, description="Only of this rule.")


class DeliveryParameters(PageParameters):
    """Which deliveries. They hold answers, so a page has fewer."""

    rule_id: UUID | None = Field(None, description="Only of this rule.")
    target_id: UUID | None = Field(None, description="Only to this target.")
    state: DeliveryState | None = Field(None, description="Only in this state.")
    page_size: int = Field(20, ge=1, le=100, description="Most items in a page.")


def checked_query(text: str) -> str:
    """The text, which is a query. Raises InvalidParameter, which points at the place of the error."""
    try:
        parse(text)
    except QueryError as error:
        raise InvalidParameter("query", str(error), error.position) from error
    return text
