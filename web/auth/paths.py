"""The address of the sign-in page, and the addresses that it may lead to."""

from urllib.parse import urlencode

SIGN_IN = "/sign-in"
# The only address where GET changes something: it signs in, once.
SIGN_IN_LINK = f"{SIGN_IN}/link"
MOST_CHARACTERS = 2048


def own_path(path: str) -> str:
    """The path if it is one of ours and not too long, else `/`: nobody is sent to another site after signing in."""
    # A browser reads `//host` and `/\\host` as another site, and drops tabs and line ends before that.
    harmless = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if harmless and len(path) <= MOST_CHARACTERS else "/"


def sign_in_path(following: str, why: str | None = None) -> str:
    """The address of the sign-in page, with the path to go to afterwards."""
    return f"{SIGN_IN}?{urlencode({'next': own_path(following)} | ({'why': why} if why else {}))}"
