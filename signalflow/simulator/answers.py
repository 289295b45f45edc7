"""Answers of the API, and Reddit's error pages in all their forms."""

from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
ATOM = "application/atom+xml; charset=UTF-8"


@dataclass(slots=True)
class Answer:
    """One HTTP answer. It carries x-ratelimit headers if `limits` is true."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    limits: bool = True


def json_answer(value: Any, status: int = 200) -> Answer:
    """Any value as JSON."""
    return Answer(orjson.dumps(value), status)


def html_answer(status: int, title: str) -> Answer:
    """A page for people, as the proxies in front of Reddit send it."""
    page = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(page.encode(), status, HTML)


def unauthorized() -> Answer:
    """401 for a wrong or expired bearer token: HTML, with the header that asyncprawcore needs."""
    answer = html_answer(401, "Unauthorized")
    answer.headers["WWW-Authenticate"] = 'Bearer realm="reddit", error="invalid_token"'
    answer.limits = False
    return answer


def too_many_with_wait(seconds: float) -> Answer:
    """429 of the first kind: Retry-After in seconds, HTML, no x-ratelimit headers."""
    answer = html_answer(429, "Too Many Requests")
    answer.headers["Retry-After"] = str(max(int(seconds), 1))
    answer.limits = False
    return answer


def too_many_plain() -> Answer:
    """429 of the second kind: JSON that does not say how long to wait."""
    answer = json_answer({"message": "Too Many Requests", "error": 429}, 429)
    answer.limits = False
    return answer


def too_many_by_address() -> Answer:
    """429 of feeds: HTML with x-ratelimit headers, which alone say how long to wait."""
    return html_answer(429, "Too Many Requests")


def blocked(status: int) -> Answer:
    """The page that answers an address which Reddit does not want, with status 403, or even 200."""
    answer = html_answer(status, "whoa there, pardner! Your request has been blocked by network security.")
    answer.limits = False
    return answer


def refused(status: int, reason: str) -> Answer:
    """403 or 404 for a subreddit that cannot be read."""
    message = {403: "Forbidden", 404: "Not Found"}[status]
    return json_answer({"reason": reason, "message": message, "error": status}, status)


def not_found() -> Answer:
    """404 without a reason."""
    return json_answer({"message": "Not Found", "error": 404}, 404)


def bad_request() -> Answer:
    """400."""
    return json_answer({"message": "Bad Request", "error": 400}, 400)


def uri_too_long() -> Answer:
    """414."""
    return html_answer(414, "URI Too Long")


def search_redirect(name: str) -> Answer:
    """302 to the search, as Reddit answers for a subreddit that does not exist."""
    return redirect(302, f"/subreddits/search?q={name}")


def redirect(status: int, location: str) -> Answer:
    """A redirect to some other place."""
    answer = html_answer(status, "Found")
    answer.headers["Location"] = location
    return answer


def server_error(status: int) -> Answer:
    """5xx of the proxies in front of Reddit: HTML."""
    return html_answer(status, f"{status} Server Error")
