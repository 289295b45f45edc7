"""The proxy between us and Reddit, as the environment names it: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies

from signalflow.errors import Fatal

REDDIT_API = "https://oauth.reddit.com"
# aiohttp speaks no SOCKS.
_USABLE = ("http", "https")


def is_loopback(url: str) -> bool:
    """Whether the URL is of this machine, which no proxy can reach."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_of(base_url: str) -> str | None:
    """The proxy through which this URL (empty: Reddit) is reached, without its password; None: directly."""
    proxy = _proxy_of(base_url)
    if proxy is None:
        return None
    shown = urlsplit(proxy)
    return shown._replace(netloc=shown.netloc.rpartition("@")[2]).geturl()


def why_unusable(base_url: str) -> str | None:
    """Why the proxy to this URL cannot be used, and what to do; None when it can, or there is none."""
    proxy = _proxy_of(base_url)
    if proxy is None or urlsplit(proxy).scheme in _USABLE:
        return None
    return (
        f"the proxy {proxy_of(base_url)} cannot be used, because it is not one of HTTP: set HTTPS_PROXY to "
        "http://host:port, or name Reddit in NO_PROXY"
    )


def proxy_with_password(base_url: str) -> str | None:
    """As proxy_of, for the client that uses it. Raises Fatal for a proxy that cannot be used."""
    reason = why_unusable(base_url)
    if reason is not None:
        raise Fatal(reason)
    return _proxy_of(base_url)


def _proxy_of(base_url: str) -> str | None:
    """The proxy as other programs read these variables: without a scheme it is one of HTTP."""
    url = base_url or REDDIT_API
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = (proxies.get(parts.scheme) or proxies.get("all") or "").strip()
    if not proxy or is_loopback(url) or _is_avoided(parts.netloc, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_avoided(netloc: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host, its domain (reddit.com, .reddit.com or *.reddit.com), or all hosts (*)."""
    netloc, names = netloc.lower(), [name.strip().lower() for name in no_proxy.split(",")]
    host = urlsplit(f"//{netloc}").hostname
    return "*" in names or any(
        f".{given}".endswith(f".{name.lstrip('*.')}") for name in names if name for given in (netloc, host)
    )
