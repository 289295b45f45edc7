"""A rule whose signals depend on all that came before, and a worker that has it: `faust -A` takes this module.

Every observation of a post whose id ends with 0 changes its signal. What is observed is a digest of the subreddit's
state, so an observation that was lost, repeated or applied in another order shows in every later signal.
"""

import zlib
from typing import Any

from signalflow.domain.signals import subreddit
from signalflow.domain.signals.subreddit import Change, Seen, SubredditState, encode_state


def follow(state: SubredditState | None, name: str, seen: Seen) -> tuple[SubredditState, tuple[Change, ...]]:
    """The state of the real rule, and a signal of some posts."""
    after, _ = subreddit.follow(state, name, seen)
    if not seen.post_id.endswith("0"):
        return after, ()
    change = Change(
        kind="viral",
        subject_kind="post",
        subject=seen.post_id,
        started_us=seen.created_us,
        peak_us=seen.observed_us,
        ended_us=None,
        changed_us=seen.observed_us,
        # What log odds of 0 give.
        strength=0.5,
        observed=2.0**32 + zlib.crc32(encode_state(after)),
        expected=float(seen.score or 0),
        post_ids=(seen.post_id,),
        inputs={
            "is_discovery": float(seen.is_discovery),
            "score_velocity": seen.score_velocity,
            **dict.fromkeys(("log_odds_base", "log_odds_score", "log_odds_velocity"), 0.0),
        },
    )
    return after, (change,)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from signalflow.application import create_app
    from signalflow.signal_detection import Detector

    app = create_app()
    app.detector = Detector(follow)
    globals()["app"] = app
    return app
