"""Whether a request fails because of what it names. Pure.

Reddit may answer 500 to every request that names one certain subreddit or post, and answer all others. An outage looks
the same to a single request. The difference shows in the other requests: the names are suspected when Reddit has
answered others since the request last failed.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["listing", "posts"]
# So often in a row a request must fail before answers of the other kind alone cast suspicion on its names: Reddit may
# have lost all listings, and still answer requests for posts by id.
FAILURES_BESIDE_OTHER_KIND = 3


@dataclass(slots=True)
class LastAnswers:
    """When Reddit last answered each kind of request."""

    _at: dict[Kind, float] = field(default_factory=dict)

    def note(self, kind: Kind, now: float) -> None:
        """Reddit has answered a request of this kind."""
        self._at[kind] = now

    def came_since(self, moment: float) -> bool:
        """Whether Reddit has answered any request since then."""
        return any(at > moment for at in self._at.values())

    def cast_suspicion(self, kind: Kind, failures: int, failed_before: float) -> bool:
        """Whether something that a request names is the reason that it failed again.

        `failures` counts its failures in a row, with this one; the one before was at `failed_before` (inf: none).
        """
        if self._at.get(kind, -math.inf) > failed_before:
            return True
        return failures >= FAILURES_BESIDE_OTHER_KIND and self.came_since(failed_before)

    def convict(self, kind: Kind, failed_before: float) -> bool:
        """The same for a request that names one thing only. Answers of the other kind are no proof against it."""
        return self._at.get(kind, -math.inf) > failed_before
