"""Where the recorded inputs of tests and benchmarks are. They are not in the repository."""

import os
from pathlib import Path

VARIABLE = "SIGNALFLOW_TEST_DATA"
_CHECKOUT = Path(__file__).parents[1]


def recorded_data() -> Path:
    """The directory that SIGNALFLOW_TEST_DATA names, else `shared/data` beside the checkout; it may be missing."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else _CHECKOUT.parent / "shared" / "data"
