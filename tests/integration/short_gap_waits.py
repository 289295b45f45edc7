"""A worker that reads a gap again soon after each page without posts: `faust -A` takes this module.

The waits of the real one grow, so ten such pages would take half an hour.
"""

from typing import Any

from signalflow.domain import gaps


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from signalflow.application import create_app

    gaps.LONGEST_PAGE_RETRY = 0.2
    app = globals()["app"] = create_app()
    return app
