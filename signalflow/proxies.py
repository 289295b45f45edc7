"""The proxy between us and Reddit, as the environment names it: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

REDDIT_API = "https://oauth.reddit.com"


def is_loopback(url: str) -> bool:
    """Whether the URL is of this machine, which no proxy can reach."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_of(base_url: str) -> str | None:
    """The proxy through which this URL (empty: Reddit) is reached, without its password; None: directly."""
    url = base_url or REDDIT_API
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or is_loopback(url) or proxy_bypass(parts.netloc):
        return None
    shown = urlsplit(proxy)
    return shown._replace(netloc=shown.netloc.rpartition("@")[2]).geturl()
