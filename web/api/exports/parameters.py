"""The query parameters of exports: the filters of the lists, and how the file is written."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from signalflow.exports.formats import CONTINUABLE, FormatName
from web.api.comments.parameters import CommentFilterParameters
from web.api.parameters import Text
from web.api.post_filters import PostFilters
from web.api.signals.parameters import SignalFilters
from web.problems import InvalidParameter


def _without_prefix(id_: str) -> str:
    return id_.removeprefix("t3_").removeprefix("t1_")


class ExportParameters(BaseModel):
    """How an export is written."""

    format: FormatName = Field("csv", description="`csv`, `ndjson` (a JSON object on each line) or `parquet`.")
    pseudonyms: bool = Field(
        False,
        description="Pseudonyms instead of the names of authors; addresses that hold the name are null. The same "
        "author has the same one within a file, and in all files where SIGNALFLOW_PSEUDONYM_KEY is set.",
    )
    after: Annotated[Text, AfterValidator(_without_prefix)] | None = Field(
        None,
        min_length=1,
        max_length=16,
        description="Go on behind the row with this id, the last one that a part holds whose transfer broke. The new "
        "part has no header: append it. Not with `parquet`.",
    )

    def check(self) -> None:
        """Raises InvalidParameter for a Parquet that shall go on."""
        if self.after is not None and self.format not in CONTINUABLE:
            raise InvalidParameter("after", "a Parquet file cannot be continued: leave it out, or take another format")


class PostExport(PostFilters, ExportParameters):
    """Which posts, and how."""


class HistoryExport(PostFilters, ExportParameters):
    """The observations of which posts, and how."""

    after: Annotated[Text, AfterValidator(_without_prefix)] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Go on behind the row `POST_ID@OBSERVED_AT`, the last one that a part holds whose transfer broke. "
        "The new part has no header: append it. Not with `parquet`.",
    )


class CommentExport(CommentFilterParameters, ExportParameters):
    """Which comments, and how."""


class SignalExport(SignalFilters, ExportParameters):
    """Which signals, and how."""

    after: Text | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Go on behind the signal with this id, the last one that a part holds whose transfer broke. The "
        "new part has no header: append it. Not with `parquet`.",
    )
