"""What an examination found: one sentence for each thing, with what to do about it."""

from dataclasses import dataclass
from typing import Literal

# `wrong`: a promise is broken or nothing works. `warning`: it works, and one fault would change that. `unknown`: it
# could not be examined, because what it depends on does not answer.
Verdict = Literal["ok", "warning", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was examined, in one word. `fix` is empty only when nothing needs to be done."""

    subject: str
    verdict: Verdict
    says: str
    fix: str = ""
