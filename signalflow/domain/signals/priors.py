"""What the project ships about all subreddits, until one has shown its own: made by scripts/make_signal_priors.py."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

# The format of the file.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Priors:
    """`activity`: posts in each hour of the day (UTC), as a multiple of the mean of all hours."""

    activity: tuple[float, ...]


@lru_cache(maxsize=1)
def shipped() -> Priors:
    """The priors of this version of the project."""
    document = json.loads(files("signalflow").joinpath("data/signals.json").read_text(encoding="utf-8"))
    return Priors(activity=tuple(document["activity"]))
