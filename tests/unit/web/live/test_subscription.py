"""Whose pages may open the live stream."""

import pytest
from starlette.requests import HTTPConnection

from signalflow.settings import Settings
from web.api.live.subscription import may_ask

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
def test_only_our_pages_and_those_that_are_named_may_ask(origin: str | None, allowed: bool) -> None:
    headers = {"host": "localhost:8000"} | ({"origin": origin} if origin else {})
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    connection = HTTPConnection({"type": "http", "headers": raw})
    assert may_ask(connection, Settings(live_origins="https://friend.example")) is allowed
