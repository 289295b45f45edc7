"""Where people are sent to sign in, and from there."""

from urllib.parse import urlencode

SIGN_IN = "/sign-in"
# GET signs in here, once: the one address where looking changes something.
SIGN_IN_LINK = f"{SIGN_IN}/link"
MOST_CHARACTERS = 2048


def own_path(path: str) -> str:
    """The path if it is one of ours and short enough to be carried along, else `/`: whoever signs in is not sent to another site."""
    # A browser reads `//host` and `/\\host` as an address elsewhere, and drops tabs and line ends before it looks.
    harmless = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if harmless and len(path) <= MOST_CHARACTERS else "/"


def sign_in_path(following: str, why: str | None = None) -> str:
    """The sign-in page, and where to go from there."""
    return f"{SIGN_IN}?{urlencode({'next': own_path(following)} | ({'why': why} if why else {}))}"
