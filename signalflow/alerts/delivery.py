"""Delivers one message to one web target, once, and says what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from aiohttp.abc import AbstractResolver
from yarl import URL

from signalflow.alert_settings import Network
from signalflow.alerts.outcome import ANSWER_KEPT, Result, Verdict
from signalflow.alerts.posting import Answer, Unreachable, post, target_url
from signalflow.alerts.signing import SigningSecret, signed_headers
from signalflow.clock import steady
from signalflow.domain.http_headers import retry_after
from signalflow.errors import Retryable

# Answers about the message or the way it is sent, which stays the same.
_REFUSED = frozenset({400, 405, 406, 411, 413, 414, 415, 422, 431, 501})
_GONE = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class WebTarget:
    """Where a message goes. The secrets are those that are valid now: two or more during a rotation, none for chats."""

    url: URL = field(repr=False)
    secrets: tuple[SigningSecret, ...] = ()

    @classmethod
    def of(cls, url: str, secrets: Sequence[str] = ()) -> "WebTarget":
        """Raises Invalid for a URL or a secret that cannot be one, and shows neither."""
        return cls(target_url(url), tuple(SigningSecret.of(secret) for secret in secrets))


@dataclass(frozen=True, slots=True)
class WebMessage:
    """A JSON body, and the id by which a receiver knows it again; the same in every try and when it is redelivered."""

    id: str
    body: bytes = field(repr=False)


async def deliver(
    message: WebMessage,
    target: WebTarget,
    now: datetime,
    *,
    allowed: Sequence[Network] = (),
    resolver: AbstractResolver | None = None,
) -> Result:
    """One try. A failure is a result too; Invalid is raised for an id that cannot be signed."""
    headers = signed_headers(message.id, message.body, now, target.secrets) | {"Content-Type": "application/json"}
    started = steady()
    try:
        answer = await post(target.url, message.body, headers, allowed, resolver)
    except Unreachable as error:
        return Result(Verdict.GIVE_UP, steady() - started, reason=str(error))
    except Retryable as error:
        return Result(Verdict.LATER, steady() - started, reason=str(error))
    return Result(
        verdict_of(answer.status),
        steady() - started,
        answer.status,
        answer.body[:ANSWER_KEPT].decode("utf-8", "replace"),
        _reason(answer),
        retry_after(answer.headers.get("Retry-After"), now),
    )


def verdict_of(status: int) -> Verdict:
    """What an HTTP status says: what may pass, an error of the server or a wrong setting there, is tried again."""
    if 200 <= status < 300:
        return Verdict.DONE
    if status in _GONE:
        return Verdict.GONE
    return Verdict.GIVE_UP if status in _REFUSED else Verdict.LATER


def _reason(answer: Answer) -> str:
    if 200 <= answer.status < 300:
        return ""
    if 300 <= answer.status < 400:
        return f"the target answered {answer.status}, a redirect, which is not followed: give its final address"
    if answer.status in _GONE:
        return f"the target answered {answer.status}: nobody is there; check its address"
    try:
        words = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        words = str(answer.status)
    return f"the target answered {words}"
