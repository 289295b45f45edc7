"""Rules, targets, matches and deliveries as clients send and receive them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signalflow.alerts.outcome import Verdict
from signalflow.alerts.posting import LONGEST_URL
from signalflow.domain.queries.tree import Kind
from signalflow.domain.words import AlertKind, DeliveryState, TargetShape
from signalflow.storage.alert_preview import MOST_COUNTED, MOST_SHOWN, SPAN
from signalflow.storage.alert_rules import MOST_TARGETS_A_RULE, RuleChange
from signalflow.storage.alert_targets import LONGEST_NAME, MadeTarget, TargetChange
from web.api.parameters import Text

_MOMENT = "2026-01-06T23:10:04.214Z"
_ID = "5f0c2a4e-6d1b-4c55-9a0e-0d6f8a2b7c11"
_NEXT = "Give it as `cursor` to get the page after this one; null on the last page."

Name = Annotated[Text, Field(min_length=1, max_length=LONGEST_NAME, description="For people.", examples=["Rockets"])]
# Its length is checked with the query, so that the error points at the place.
QueryText = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=4096,
        description="A query: words, phrases, AND, OR, NOT, parentheses and fields such as `subreddit:`, `signal:` and "
        "`score>`; at most 500 characters.",
        examples=['"rocket engine" subreddit:space score>100'],
    ),
]
TargetIds = Annotated[
    list[UUID],
    Field(
        max_length=MOST_TARGETS_A_RULE,
        description=f"Who is told, at most {MOST_TARGETS_A_RULE} targets.",
        examples=[[_ID]],
    ),
]
Address = Annotated[
    Text,
    Field(
        max_length=LONGEST_URL,
        description="The URL; for `mail` one address of e-mail; nothing for `feed`. URLs are not told again.",
        examples=["https://example.org/hooks/7d3f"],
    ),
]
DigestMinutes = Annotated[
    int, Field(ge=1, le=1440, description="One e-mail tells all alerts of so many minutes.", examples=[60])
]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RuleOut(BaseModel):
    """A rule: what meets its query is told to its targets, once."""

    id: UUID
    name: str
    query: str = Field(examples=['"rocket engine" subreddit:space score>100'])
    target_ids: list[UUID]
    created_by: str
    created_at: datetime = Field(examples=[_MOMENT])
    changed_at: datetime = Field(examples=[_MOMENT])
    paused_at: datetime | None = Field(description="Since when it tells nothing; null while it does.", examples=[None])
    last_match_at: datetime | None = Field(
        description="When it last met something new; null: never, or what it met is no longer kept.", examples=[_MOMENT]
    )


class RulePage(BaseModel):
    """A page of rules."""

    items: list[RuleOut] = Field(description="The newest first.")
    next: str | None = Field(description=_NEXT, examples=[None])


class NewRule(_Given):
    """A rule to make. It tells news only: what meets it already is not told."""

    name: Name
    query: QueryText
    target_ids: TargetIds = []


class ChangedRule(_Given):
    """What to change; null leaves it as it is. A rule that goes on, or asks for something else, tells news only."""

    name: Name | None = None
    query: QueryText | None = None
    target_ids: TargetIds | None = None
    paused: bool | None = Field(None, description="Whether it tells nothing.")

    @model_validator(mode="after")
    def _something(self) -> "ChangedRule":
        if self.change == RuleChange():
            raise ValueError("give name, query, target_ids or paused")
        return self

    @property
    def change(self) -> RuleChange:
        """The change, as storage takes it."""
        return RuleChange(self.name, self.query, self.target_ids, self.paused)


class Previewing(_Given):
    """A query to try."""

    query: QueryText


class PreviewedOut(BaseModel):
    """A post or comment that meets the query."""

    kind: Kind
    id: str = Field(description="Reddit's id, without `t3_` or `t1_`.", examples=["1abc2d"])
    post_id: str = Field(description="Of a comment the post below which it stands.", examples=["1abc2d"])
    subreddit: str = Field(examples=["space"])
    text: str | None = Field(description="The title, or the beginning of a comment. Written by strangers.")
    permalink: str | None = Field(description="Path of its page on Reddit.")
    score: int | None
    created_at: datetime = Field(examples=[_MOMENT])


class PreviewOut(BaseModel):
    """What meets the query, of the posts and comments that stand."""

    since: datetime = Field(description=f"Created since then, {SPAN.days} days ago.", examples=[_MOMENT])
    posts: int = Field(description=f"Posts, {MOST_COUNTED:,} at most.", examples=[41])
    comments: int = Field(description=f"Comments, {MOST_COUNTED:,} at most.", examples=[3])
    more_posts: bool = Field(description="Whether there are more posts than counted.")
    more_comments: bool = Field(description="Whether there are more comments than counted.")
    newest: list[PreviewedOut] = Field(description=f"The newest {MOST_SHOWN} of both.")


class TargetOut(BaseModel):
    """Where alerts go."""

    id: UUID
    name: str
    shape: TargetShape = Field(
        description="`json`: a webhook, signed as Standard Webhooks. `slack`, `discord`: an incoming webhook of these. "
        "`mail`: digests by e-mail. `feed`: an Atom feed."
    )
    place: str | None = Field(
        description="Scheme and host of its URL, or the address of e-mail; null of a feed.",
        examples=["https://example.org"],
    )
    digest_minutes: int = Field(description="Of an e-mail: it tells all alerts of so many minutes.", examples=[60])
    created_at: datetime = Field(examples=[_MOMENT])
    disabled_at: datetime | None = Field(
        description="Since when nothing is sent to it; null while it is.", examples=[None]
    )
    disabled_because: str | None = Field(description="Why.", examples=[None])
    secret_before_until: datetime | None = Field(
        description="After a rotation: until when the signing secret of before signs too.", examples=[None]
    )
    rules: int = Field(description="Rules that tell it.", examples=[3])


class Targets(BaseModel):
    """All targets."""

    items: list[TargetOut] = Field(description="The oldest first.")


class NewTarget(_Given):
    """A target to make."""

    name: Name
    shape: TargetShape
    address: Address | None = None
    digest_minutes: DigestMinutes = 60


class ChangedTarget(_Given):
    """What to change; null leaves it as it is."""

    name: Name | None = None
    address: Address | None = None
    digest_minutes: DigestMinutes | None = None
    disabled: Literal[False] | None = Field(None, description="`false` enables a target that was disabled.")

    @model_validator(mode="after")
    def _something(self) -> "ChangedTarget":
        if self.change == TargetChange():
            raise ValueError("give name, address, digest_minutes or disabled")
        return self

    @property
    def change(self) -> TargetChange:
        """The change, as storage takes it."""
        return TargetChange(self.name, self.address, self.digest_minutes, enable=self.disabled is False)


class MadeTargetOut(TargetOut):
    """A target with what is shown only now."""

    secret: str | None = Field(description="The signing secret of `json`; null of others.", examples=["whsec_..."])
    feed_path: str | None = Field(
        description="The path of a feed's link, which is its password; null of others.", examples=[None]
    )

    @classmethod
    def of(cls, made: MadeTarget) -> "MadeTargetOut":
        """The target as it goes out."""
        shown = {name: getattr(made.target, name) for name in TargetOut.model_fields}
        return cls(**shown, secret=made.secret, feed_path=made.path)


class TrialOut(BaseModel):
    """What came back for a test alert."""

    verdict: Verdict = Field(description="`done`: it was taken. What alerts would do next otherwise.")
    status: int | None = Field(description="Of HTTP or SMTP; null without an answer.", examples=[200])
    seconds: float
    reason: str = Field(description="What happened and what helps; empty when there is nothing to say.")
    answer: str = Field(description="The first 2 kB of the answer. Not trusted: escape it where it is shown.")


class MatchOut(BaseModel):
    """Something new that met a rule."""

    id: UUID
    rule_id: UUID
    rule: str = Field(description="The name of the rule now.")
    kind: AlertKind
    subject: str = Field(description="The id of the post, comment or signal.", examples=["1abc2d"])
    alert: dict[str, Any] = Field(description="What is told (`data` of docs/schemas/alert.v1.json).")
    matched_at: datetime = Field(examples=[_MOMENT])


class MatchPage(BaseModel):
    """A page of matches."""

    items: list[MatchOut] = Field(description="The newest first.")
    next: str | None = Field(description=_NEXT, examples=[None])


class AttemptOut(BaseModel):
    """One try to send a message."""

    at: datetime = Field(examples=[_MOMENT])
    seconds: float
    verdict: str = Field(description="What followed: done, later, give_up or gone.", examples=["later"])
    status: int | None = Field(description="Of HTTP or SMTP; null without an answer.", examples=[503])
    reason: str
    answer: str = Field(description="The first 2 kB of the answer. Not trusted: escape it where it is shown.")


class DeliveryOut(BaseModel):
    """A message to one target."""

    id: UUID
    match_id: UUID
    rule_id: UUID
    rule: str = Field(description="The name of the rule now.")
    target_id: UUID
    target: str = Field(description="The name of the target now.")
    shape: TargetShape
    kind: AlertKind
    subject: str = Field(description="The id of the post, comment or signal.", examples=["1abc2d"])
    alert: dict[str, Any] = Field(description="What its body is made of (`data` of docs/schemas/alert.v1.json).")
    state: DeliveryState
    first_at: datetime = Field(description="When it was ready; after that it is tried for a day.", examples=[_MOMENT])
    next_at: datetime = Field(description="While it waits: not tried before.", examples=[_MOMENT])
    failures: int = Field(description="Tries that failed so far.", examples=[0])
    ended_at: datetime | None = Field(description="Since when it is done or given up.", examples=[None])
    attempts: list[AttemptOut] = Field(description="The oldest first.")


class DeliveryPage(BaseModel):
    """A page of deliveries."""

    items: list[DeliveryOut] = Field(description="The newest first.")
    next: str | None = Field(description=_NEXT, examples=[None])
