"""How the mood of a discussion is cut into stretches of time."""

from datetime import timedelta

# A chart of a thousand pixels shows so many points well.
MOST_STRETCHES = 100
_STEPS = (
    *(timedelta(minutes=minutes) for minutes in (1, 5, 15)),
    *(timedelta(hours=hours) for hours in (1, 6)),
    *(timedelta(days=days) for days in (1, 7, 30, 365)),
)


def step_for(span: timedelta) -> timedelta:
    """The shortest usual step by which a span has at most MOST_STRETCHES, or the longest one."""
    # A span that begins within a stretch reaches into one more.
    return next((step for step in _STEPS if span <= (MOST_STRETCHES - 1) * step), _STEPS[-1])
