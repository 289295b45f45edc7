"""What became of one try to deliver a message."""

from dataclasses import dataclass, field
from enum import StrEnum

# Of an answer, in bytes: enough to read what went wrong.
ANSWER_KEPT = 2048


class Verdict(StrEnum):
    """What to do after a try."""

    DONE = "done"
    LATER = "later"
    # The message itself is refused, or the target must be changed: the same try would end the same.
    GIVE_UP = "give_up"
    # Nobody is there. Try later; a target that stays so is disabled (`schedule.Standing`).
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Result:
    """One try. `reason` says what happened and what helps, without secrets; it is empty when there is nothing to say.

    `status`: of HTTP or SMTP, None if there was no answer. `answer`: its first 2 kB; it is the other side's text, and
    may hold anything. `retry_after`: seconds that the other side asked for, or None.
    """

    verdict: Verdict
    seconds: float
    status: int | None = None
    answer: str = field(default="", repr=False)
    reason: str = ""
    retry_after: float | None = None
