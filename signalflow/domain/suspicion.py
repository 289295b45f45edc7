"""Whether a request fails because of what it names. Pure.

Reddit may answer 500 to every request that names one certain subreddit or post, and answer all others. An outage looks
the same to a single request. The difference shows in the other requests: the names are suspected when Reddit has
answered others since the request last failed.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["listing", "posts", "comments", "comments_by_id", "ranked", "tree"]
# So often in a row a request must fail before answers of the other kind alone cast suspicion on its names: Reddit may
# have lost all listings, and still answer requests for posts by id.
FAILURES_BESIDE_OTHER_KIND = 3


# For so many seconds an answer that showed posts is a sign that Reddit shows what there is.
LATELY = 300.0


@dataclass(slots=True)
class LastAnswers:
    """When Reddit last answered each kind of request, and when such an answer last showed a post.

    `was_empty`: the failure in question is an answer without posts. Only answers with posts are evidence then: another
    empty one may have the same fault.
    """

    _at: dict[Kind, float] = field(default_factory=dict)
    _shown_at: dict[Kind, float] = field(default_factory=dict)

    def note(self, kind: Kind, now: float, *, shows_posts: bool = True) -> None:
        """Reddit has answered a request of this kind."""
        self._at[kind] = now
        if shows_posts:
            self._shown_at[kind] = now

    def shown_lately(self, kind: Kind, now: float) -> bool:
        """Whether an answer to a request of this kind has shown a post within the last minutes."""
        return now - self._shown_at.get(kind, -math.inf) <= LATELY

    def came_since(self, moment: float) -> bool:
        """Whether Reddit has answered any request since then."""
        return any(at > moment for at in self._at.values())

    def cast_suspicion(self, kind: Kind, failures: int, failed_before: float, *, was_empty: bool = False) -> bool:
        """Whether something that a request names is the reason that it failed again.

        `failures` counts its failures in a row, with this one; the one before was at `failed_before` (inf: none).
        """
        if self.convict(kind, failed_before, was_empty=was_empty):
            return True
        return failures >= FAILURES_BESIDE_OTHER_KIND and self.came_since(failed_before)

    def convict(self, kind: Kind, failed_before: float, *, was_empty: bool = False) -> bool:
        """The same for a request that names one thing only. Answers of the other kind are no proof against it."""
        answers = self._shown_at if was_empty else self._at
        return answers.get(kind, -math.inf) > failed_before
