"""Types of parameters that several endpoints take."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from signalflow.domain.queries.asked import asked
from signalflow.domain.queries.language import LONGEST_QUERY, QueryError
from web.faults import MOST_SHOWN

LONGEST_WINDOW = timedelta(days=7)
_WINDOW = re.compile(r"([1-9][0-9]{0,2})([hd])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return text


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


def window_of(text: str) -> timedelta:
    """The length of `24h` or `7d`. Raises ValueError for another form, and above LONGEST_WINDOW."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError("must be a number of hours or days, like 24h or 7d")
    window = int(match[1]) * _UNITS[match[2]]
    if window > LONGEST_WINDOW:
        raise ValueError(f"must be at most {LONGEST_WINDOW.days}d")
    return window


def _checked_window(text: str) -> str:
    window_of(text)
    return text


def _shaped(pattern: str, message: str) -> tuple[AfterValidator, FieldInfo]:
    """What makes a text match a pattern. The document has the pattern, an error has the message."""
    matches = re.compile(pattern, re.ASCII).fullmatch

    def check(text: str) -> str:
        if not matches(text):
            raise ValueError(f"{message}, not {text[:MOST_SHOWN]!r}")
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern})


def _asked(text: str) -> str:
    try:
        asked(text)
    except QueryError as error:
        told: dict[str, object] = {"message": str(error), "position": error.position}
        raise PydanticCustomError("query", "{message}", told) from error
    return text


Text = Annotated[str, AfterValidator(_storable)]
# A search, or a query that is right.
Asked = Annotated[Text, AfterValidator(_asked), Field(min_length=1, max_length=LONGEST_QUERY)]
# What a description says of it.
LANGUAGE = (
    'words in any form: `rocket launch`, `"exact phrase"`, `mars or moon`, `-not`; and the language of alert rules: '
    "`score>100`, `comments>=50`, `sentiment<-0.3`, `ratio<0.6`, `age<2h`, `subreddit:`, `author:`, `domain:`, "
    "`flair:`, `kind:comment`, `signal:viral`, `is:nsfw`, AND, OR, NOT, parentheses. A wrong query is "
    "a 422 whose error has the `position`. `search` of the answer says how words were looked up."
)
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
SubredditName = Annotated[str, *_shaped(r"^[A-Za-z0-9_:.-]{1,32}$", "must be a subreddit's name without r/")]
Window = Annotated[str, AfterValidator(_checked_window), Field(json_schema_extra={"pattern": r"^[1-9][0-9]{0,2}[hd]$"})]
PostId = Annotated[
    str,
    *_shaped(r"^[0-9a-z]{1,13}$", "must be Reddit's id of a post without t3_: small letters and digits"),
    Path(description="Reddit's id of the post, without `t3_`.", examples=["1abc2d"]),
]


class CreatedWithin(BaseModel):
    """Begin and end of the time of creation."""

    created_from: Moment | None = Field(None, description="Created then or later (ISO 8601 with a time zone).")
    created_to: Moment | None = Field(None, description="Created before (ISO 8601 with a time zone).")

    @field_validator("created_to")
    @classmethod
    def _after_its_begin(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        begin: datetime | None = info.data.get("created_from")
        if value is not None and begin is not None and value < begin:
            raise ValueError("must not be before created_from")
        return value
