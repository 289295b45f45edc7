"""Points in the unit of work where the fault suite kills the process, to show that nothing is lost or doubled there.

The setting `fail_point` arms one of them; without it `reach` does nothing. Each name says which step has just been
confirmed, or is about to begin.
"""

import os
import signal

NAMES = frozenset(
    {
        "enrich.before_outputs",
        # Once per topic that the unit writes.
        "enrich.after_outputs",
        "enrich.before_changelog",
        "enrich.after_changelog",
        # Once per partition of the unit.
        "enrich.after_state",
        "enrich.after_ack",
        "terms.before_outputs",
        "terms.after_outputs",
        "terms.before_changelog",
        "terms.after_changelog",
        "terms.after_state",
        "terms.after_ack",
        "signals.before_outputs",
        "signals.after_outputs",
        "signals.before_changelog",
        "signals.after_changelog",
        "signals.after_state",
        "signals.after_ack",
        # Inside the transaction, after its statements.
        "sink.before_commit",
        "sink.after_commit",
        "sink.after_dead_letters",
        "sink.after_ack",
        "comments.before_commit",
        "comments.after_commit",
        "comments.after_ack",
        "signal_sink.before_commit",
        "signal_sink.after_commit",
        "signal_sink.after_ack",
        "dlq.after_commit",
        "dlq.after_ack",
        # A message to a target of alerts was claimed, answered, and what became of it written.
        "alerts.before_send",
        "alerts.after_send",
        "alerts.after_record",
        # A log was found broken, and the partition is read from the break on.
        "positions.before_record",
    }
)


class _Armed:
    """The fail point of this process, and how often it must still be reached."""

    name = ""
    left = 0


def parse(setting: str) -> tuple[str, int]:
    """Name and count of `name` or `name:nth` (from 1). Raises ValueError for an unknown name or a count below 1."""
    name, _, nth = setting.partition(":")
    if name not in NAMES:
        raise ValueError(f"{name!r} is not a fail point; there are: {', '.join(sorted(NAMES))}")
    count = int(nth or "1")
    if count < 1:
        raise ValueError(f"{setting!r}: the count starts at 1")
    return name, count


def arm(setting: str) -> None:
    """Arm the fail point of the setting; an empty setting disarms."""
    _Armed.name, _Armed.left = parse(setting) if setting else ("", 0)


def reach(name: str) -> None:
    """Kill this process with SIGKILL if `name` is armed and has now been reached the nth time."""
    if name != _Armed.name:
        return
    _Armed.left -= 1
    if _Armed.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
