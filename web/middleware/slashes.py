"""Lets each path answer in two forms: with a slash at the end, and without."""

import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

_GROUP_NAME = re.compile(r"\?P<\w+>")


class TrailingSlashes:
    """ASGI middleware: serves each path with and without a slash at the end, although routes register only one form.

    It changes the path of the request before the routes see it. It does not redirect.
    """

    def __init__(self, app: ASGIApp, registered: Iterable[re.Pattern[str]]) -> None:
        """`registered`: the paths of all routes, as Starlette compiles them."""
        self._app = app
        # Groups lose their names: the paths of several routes have a parameter of the same name.
        patterns = sorted({_GROUP_NAME.sub("", pattern.pattern) for pattern in registered})
        self._is_registered = re.compile("|".join(f"(?:{pattern})" for pattern in patterns)).fullmatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_registered(scope["path"]):
            other = _other_spelling(scope["path"])
            if self._is_registered(other):
                scope = {**scope, "path": other}
        await self._app(scope, receive, send)


def _other_spelling(path: str) -> str:
    if not path.endswith("/"):
        return f"{path}/"
    # A path that ends in two slashes stays unknown.
    return path if path.endswith("//") else path[:-1]
