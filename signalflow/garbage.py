"""How often Python looks for reference cycles."""

import gc

# Objects made and not yet freed before Python looks for reference cycles among them. A batch makes tens of thousands of
# objects without any: at Python's 700, looking took a quarter of the worker's processor time. 50,000 take about 10 MB.
OBJECTS_BEFORE_COLLECTION = 50_000


def collect_rarely() -> None:
    """Have this process look for cycles less often. Called before its imports, because what they make stays."""
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
