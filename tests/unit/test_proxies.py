"""Which proxy the environment names for Reddit."""

import pytest

from signalflow.proxies import proxy_of

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "", None),
        ({"HTTPS_PROXY": PROXY}, "", PROXY),
        ({"https_proxy": PROXY}, "https://oauth.reddit.com", PROXY),
        ({"HTTP_PROXY": PROXY}, "", None),
        ({"HTTP_PROXY": PROXY}, "http://stand-in.example:80", PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "example.org,reddit.com"}, "", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "example.org"}, "", PROXY),
        ({"HTTPS_PROXY": "http://me:hush@proxy.example:3128"}, "", PROXY),
        # No proxy reaches this machine.
        ({"HTTP_PROXY": PROXY}, "http://127.0.0.1:9401", None),
        ({"HTTP_PROXY": PROXY}, "http://localhost:9401", None),
        ({"HTTP_PROXY": PROXY}, "http://[::1]:9401", None),
    ],
)
def test_the_proxy_of_a_url(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy
