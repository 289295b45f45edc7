"""Dead letters as the API gives them."""

import base64
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from signalflow.dead_letters.replay import ReplayReport
from signalflow.domain.words import LetterState, ReplayPolicy, Stage
from signalflow.storage.dead_letter_replays import ReplayRecord
from signalflow.storage.dead_letters import LetterCount, LetterFilter, StoredLetter

Encoding = Literal["text", "base64"]
# Longer keys and header values are cut, because they are only shown.
MOST_SHOWN_BYTES = 1024


class Bytes(BaseModel):
    """Bytes of the original record, as text where they are UTF-8."""

    encoding: Encoding
    content: str = Field(description="Not trusted: anybody may have written it. Escape it where it is shown.")
    size: int = Field(description="Bytes in all.")
    cut: bool = Field(description="Whether `content` is only the beginning.")

    @classmethod
    def of(cls, value: bytes, size: int) -> "Bytes":
        """The beginning `value` of `size` bytes."""
        cut = len(value) < size
        # The cut may be inside a character.
        for end in range(len(value), max(len(value) - 4, -1), -1) if cut else (len(value),):
            try:
                return cls(encoding="text", content=value[:end].decode(), size=size, cut=cut)
            except UnicodeDecodeError:
                continue
        return cls(encoding="base64", content=base64.b64encode(value).decode(), size=size, cut=cut)


class HeaderOut(BaseModel):
    """A header of the original record."""

    name: str
    value: Bytes


class LetterOut(BaseModel):
    """A dead letter: a record that could not be processed, where it came from, why, and what became of it."""

    id: int
    topic: str = Field(description="The topic it was read from.")
    topic_id: UUID = Field(description="Kafka's id of that topic: one that was made anew has another.")
    partition: int
    offset: int
    attempt: int = Field(description="1, and one more with every replay.")
    stage: Stage = Field(description="Where it failed.")
    error_type: str
    error: str
    worker: str
    failed_at: datetime
    stored_at: datetime
    state: LetterState = Field(
        description="`dead`: open. `replayed`: sent back, and not processed yet. `dead_again`: sent back, and failed "
        "again as the letter `next_id`. `resolved`: processed after a replay, or discarded (`resolved_by` and `reason` "
        "say by whom and why)."
    )
    whole: bool = Field(
        description="False when it was too large to be kept whole, or malformed: it cannot be replayed."
    )
    previous_id: int | None = Field(description="The attempt before.")
    next_id: int | None = Field(description="The attempt after, when it failed again.")
    replay_id: int | None
    replayed_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    reason: str | None
    key: Bytes | None
    value: Bytes | None
    headers: list[HeaderOut] = Field(description="Headers of the original record.")

    @classmethod
    def of(cls, letter: StoredLetter) -> "LetterOut":
        """The letter as it goes out."""
        same = {name for name in cls.model_fields if name in StoredLetter.__dataclass_fields__}
        fields = {name: getattr(letter, name) for name in same - {"key", "value", "headers"}}
        return cls(
            **fields,
            topic=letter.source_topic,
            partition=letter.source_partition,
            offset=letter.source_offset,
            reason=letter.resolution,
            key=None if letter.key is None else Bytes.of(letter.key[:MOST_SHOWN_BYTES], len(letter.key)),
            value=None if letter.value is None else Bytes.of(letter.value, letter.value_bytes or 0),
            headers=[
                HeaderOut(name=name, value=Bytes.of(value[:MOST_SHOWN_BYTES], len(value)))
                for name, value in letter.headers
            ],
        )


class LetterPage(BaseModel):
    """A page of dead letters, newest first."""

    items: list[LetterOut]
    next: str | None = Field(description="Give it as `cursor` to get the page after this one; null on the last page.")


class CountOut(BaseModel):
    """Dead letters of one topic, stage, error and state."""

    topic: str
    stage: Stage
    error_type: str
    state: LetterState
    letters: int
    oldest: datetime
    newest: datetime

    @classmethod
    def of(cls, count: LetterCount) -> "CountOut":
        """The count as it goes out."""
        return cls(
            topic=count.source_topic, **{name: getattr(count, name) for name in cls.model_fields if name != "topic"}
        )


class ReplayOut(BaseModel):
    """A replay: who, when, how many, and how it ended."""

    id: int
    requested_by: str
    filter: dict[str, str | int]
    policy: ReplayPolicy
    most: int
    sent: int
    skipped: int
    failed_again: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None = Field(description="Null while it is under way, or when its process died.")

    @classmethod
    def of(cls, record: ReplayRecord) -> "ReplayOut":
        """The replay as it goes out."""
        return cls(**{name: getattr(record, name) for name in cls.model_fields})


class Stats(BaseModel):
    """How many dead letters there are, in all and by where and why."""

    by_state: dict[LetterState, int]
    groups: list[CountOut]
    replays: list[ReplayOut] = Field(description="The newest replays.")


class Chosen(BaseModel):
    """Which dead letters; what is left out matches any. Only open ones are ever replayed or discarded by a filter."""

    model_config = ConfigDict(extra="forbid")

    topic: str | None = Field(None, max_length=249)
    stage: Stage | None = None
    error_type: str | None = Field(None, max_length=200)
    since: AwareDatetime | None = Field(None, description="Failed at this time or later.")
    until: AwareDatetime | None = Field(None, description="Failed before this time.")

    def as_filter(self) -> LetterFilter:
        """The same for the storage."""
        return LetterFilter(self.topic, self.stage, self.error_type, self.since, self.until)


class ReplayMany(BaseModel):
    """What to replay, and how."""

    model_config = ConfigDict(extra="forbid")

    filter: Chosen = Field(default_factory=Chosen)
    most: int | None = Field(
        None, ge=1, description="At most so many, the oldest first. Default: as many as are allowed."
    )
    policy: ReplayPolicy = Field(
        "continue",
        description="`continue` sends all. `stop` sends one after the other and ends at the first that fails again; "
        "it waits for each, at most 30 s in all.",
    )
    dry_run: bool = Field(False, description="Only say what would be sent.")


class ReplayOne(BaseModel):
    """How to replay one dead letter."""

    model_config = ConfigDict(extra="forbid")

    wait: bool = Field(False, description="Answer when it is known what became of it, after 30 s at most.")
    dry_run: bool = Field(False, description="Only say what would be sent.")


class ReplayAnswer(BaseModel):
    """How a replay went."""

    replay_id: int | None = Field(description="Null for a dry run.")
    ids: list[int] = Field(description="The letters chosen, in the order of sending.")
    sent: int
    skipped: int = Field(description="Being sent by somebody else at the time, or refused by the topic.")
    failed_again: int = Field(description="Known to have failed again (policy `stop`).")
    outcome: str = Field(
        description="`completed`, `stopped` (one failed again), `out_of_time` (a result was not known in time), "
        "`interrupted` (brokers or database went away; the rest was not sent), or `dry_run`."
    )

    @classmethod
    def of(cls, report: ReplayReport) -> "ReplayAnswer":
        """The report as it goes out."""
        return cls(**{name: getattr(report, name) for name in cls.model_fields})


_Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]


class Reason(BaseModel):
    """Why a dead letter is discarded."""

    model_config = ConfigDict(extra="forbid")

    reason: _Reason


class ResolveMany(BaseModel):
    """Which open dead letters are discarded, and why."""

    model_config = ConfigDict(extra="forbid")

    filter: Chosen
    reason: _Reason | None = Field(None, description="Why they are discarded. Only a dry run needs none.")
    most: int = Field(1000, ge=1, le=10_000, description="At most so many, the oldest first.")
    dry_run: bool = Field(False, description="Only say which would be discarded.")


class ResolveAnswer(BaseModel):
    """The letters that were discarded, or with `dry_run` those that would be."""

    ids: list[int]
    resolved: int = Field(description="How many were discarded: 0 with `dry_run`.")
