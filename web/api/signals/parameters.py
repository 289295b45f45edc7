"""The query parameters of signals. They have the same names in lists, exports and the live stream."""

from datetime import datetime
from typing import get_args

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from signalflow.domain.words import SignalKind
from signalflow.storage.signals import SignalFilter, SignalKey
from web.api.cursors import decode_text_key
from web.api.parameters import Moment, SubredditName, Text
from web.problems import InvalidParameter

MOST_SIGNALS_A_PAGE = 100


class SignalFilters(BaseModel):
    """Filters, all of which a signal must meet."""

    kind: list[SignalKind] = Field(
        [], max_length=len(get_args(SignalKind)), description="Of one of these kinds; may be given several times."
    )
    subreddit: list[SubredditName] = Field(
        [], max_length=50, description="Of one of these subreddits; may be given several times. Case does not matter."
    )
    subject: Text | None = Field(
        None, min_length=1, max_length=200, description="About this: a post's id, a subreddit's name or a term."
    )
    active: bool = Field(False, description="Only those that go on.")
    since: Moment | None = Field(None, description="Begun then or later (ISO 8601 with a time zone).")
    until: Moment | None = Field(None, description="Begun before (ISO 8601 with a time zone).")
    min_strength: float | None = Field(
        None,
        ge=0,
        le=1e6,
        description="With at least this strength: a probability for `viral`, standard deviations for `unusual_here`, a "
        "multiple for `burst`. It needs exactly one `kind`.",
    )

    @field_validator("until")
    @classmethod
    def _after_its_begin(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        begin: datetime | None = info.data.get("since")
        if value is not None and begin is not None and value < begin:
            raise ValueError("must not be before since")
        return value

    @field_validator("min_strength")
    @classmethod
    def _of_one_kind(cls, value: float | None, info: ValidationInfo) -> float | None:
        # A wrong kind is told by itself.
        if value is not None and len(set(info.data.get("kind", ["unknown"]))) != 1:
            raise ValueError("needs exactly one kind, because strengths of two kinds cannot be compared")
        return value

    @property
    def filters(self) -> SignalFilter:
        """The filters as storage takes them."""
        return SignalFilter(
            self.kind, self.subreddit, self.subject, self.active, self.since, self.until, self.min_strength
        )


class SignalListParameters(SignalFilters):
    """Which signals, and which page of them."""

    cursor: str | None = Field(
        None,
        max_length=512,
        description="`next` of the page before, with the same other parameters (but `page_size`); without it, the "
        "first page.",
    )
    page_size: int = Field(20, ge=1, le=MOST_SIGNALS_A_PAGE, description="Most signals in a page.")

    @property
    def walk(self) -> str:
        """What a cursor belongs to: the list and its filters, without the place in it."""
        return "signals " + self.model_dump_json(exclude={"cursor", "page_size"}, exclude_defaults=True)

    @property
    def before(self) -> SignalKey | None:
        """The signal before the page. Raises InvalidParameter for a text that is no cursor of this walk."""
        try:
            return None if self.cursor is None else decode_text_key(self.cursor, self.walk)
        except ValueError as error:
            raise InvalidParameter("cursor", str(error)) from error
