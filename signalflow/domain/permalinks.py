"""Addresses of comments on Reddit. Pure."""

import re

_UNTIL_THE_TITLE = re.compile(r"((?:https?://[^/]+)?/[^/]+/[^/]+/comments/[^/]+/)[^/]*/")


def without_title(permalink: str) -> str:
    """The path of a comment's page with `_` where Reddit repeats words of the post's title.

    The post may be erased while the comment stays. Reddit shows the same page whatever stands there.
    """
    found = _UNTIL_THE_TITLE.match(permalink)
    return f"{found[1]}_/{permalink[found.end() :]}" if found else permalink
