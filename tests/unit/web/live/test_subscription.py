"""Whose pages may open the live stream."""

import pytest
from starlette.requests import HTTPConnection

from signalflow.settings import Settings
from web.api.live.subscription import is_origin_allowed

OURS = "http://localhost:8000"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        (OURS, True),
        ("https://friend.example", True),
        ("https://elsewhere.example", False),
        ("null", False),
        ("http://[", False),
    ],
)
def test_only_our_pages_and_pages_of_named_origins_may_open_the_stream(origin: str | None, allowed: bool) -> None:
    headers = {"host": "localhost:8000"} | ({"origin": origin} if origin else {})
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    connection = HTTPConnection({"type": "http", "headers": raw})
    assert is_origin_allowed(connection, Settings(live_origins="https://friend.example")) is allowed
