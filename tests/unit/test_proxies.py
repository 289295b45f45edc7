"""Which proxy the environment names for Reddit."""

import pytest

from signalflow.errors import Fatal
from signalflow.proxies import proxy_of, proxy_with_password

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
        ({"ALL_PROXY": PROXY}, "", PROXY),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": "http://other.example:1"}, "", "http://other.example:1"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "", PROXY),
        ({"HTTPS_PROXY": "me:hush@proxy.example:3128"}, "", PROXY),
        ({"HTTPS_PROXY": "https://proxy.example"}, "", "https://proxy.example"),
        ({"HTTPS_PROXY": f" {PROXY}/ "}, "", f"{PROXY}/"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*.example.org, *.reddit.com"}, "", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".reddit.com"}, "", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*reddit.com"}, "", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*.com.example"}, "", PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "it.com, ,"}, "", PROXY),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "Stand-In.example:80"}, "http://stand-in.example:80", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "stand-in.example:81"}, "http://stand-in.example:80", PROXY),
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


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_a_proxy_of_a_kind_that_cannot_be_used_is_refused_without_its_password(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:hush@proxy.example:1080")
    assert proxy_with_password("http://127.0.0.1:9401") is None
    with pytest.raises(Fatal, match=f"{scheme}://proxy.example:1080.*HTTPS_PROXY.*http://host:port") as refused:
        proxy_with_password("")
    assert "hush" not in str(refused.value)


def test_a_proxy_is_asked_with_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "me:hush@proxy.example:3128")
    assert proxy_with_password("") == "http://me:hush@proxy.example:3128"
