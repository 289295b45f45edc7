"""One POST to a URL that a user wrote: only to addresses that may be reached, without redirects, within bounds.

aiohttp looks the host up and hands each address to the gate (`addresses.Gate`) right before it connects to exactly that
address. There is no second lookup, so a name server cannot answer with a public address first and with 127.0.0.1 then.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from signalflow.alert_settings import Network
from signalflow.alerts.addresses import Gate
from signalflow.errors import Invalid, Retryable

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 10.0
MOST_READ = 64 * 1024
LONGEST_URL = 2048


class Unreachable(Invalid):
    """The target may not be reached, or the URL says nothing that could be: only a person can change that."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target answered: at most MOST_READ of the body, and what arrived of it in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def target_url(text: str) -> URL:
    """The URL of a target. Raises Invalid, which does not show it: often the URL is the secret."""
    reason = _why_no_target(text)
    if reason is not None:
        raise Invalid(f"the URL of the target {reason}", field="url")
    return URL(text).with_fragment(None)


def _why_no_target(text: str) -> str | None:
    if len(text) > LONGEST_URL:
        return f"has more than {LONGEST_URL} characters"
    # Programs read backslashes and white space in a URL differently.
    if not text.isprintable() or " " in text or "\\" in text:
        return "has a space, a backslash or a control character: write it percent-encoded"
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        return "cannot be read: write https://host/path"
    if url.scheme not in ("https", "http") or not host or not port:
        return "does not begin with https:// or http:// and a host"
    if "@" in url.raw_authority:
        return "has a user or a password before its host: leave them out, and check the signature instead"
    return None


def shown(url: URL) -> str:
    """As much of a target's URL as messages and logs may have: its path and query are often the secret."""
    return str(url.origin())


async def post(
    url: URL,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Sequence[Network] = (),
    resolver: AbstractResolver | None = None,
) -> Answer:
    """The answer of the target, whatever its status.

    Raises Unreachable if the gate refuses all addresses of the host, and Retryable without an answer in time. No error
    shows more of the URL than `shown`.
    """
    gate = Gate(allowed)
    try:
        async with _session(gate, resolver) as session:
            return await _exchange(session, url, body, headers)
    except aiohttp.InvalidURL:
        raise Unreachable(f"{shown(url)} has no usable host: write a name, or an address such as 192.0.2.7") from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # The texts of aiohttp's errors have the URL in them.
        reason = gate.refusal
        if reason is not None:
            raise Unreachable(f"{shown(url)}: {reason}") from None
        raise Retryable(f"{shown(url)}: {_what_failed(error)}") from None


def _session(gate: Gate, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
    # A session of its own for each message, so that no connection, cookie or lookup of one target serves another.
    connector = aiohttp.TCPConnector(
        resolver=resolver, use_dns_cache=False, force_close=True, socket_factory=gate.open, happy_eyeballs_delay=None
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
        # Proxies of the environment would look the host up by themselves, behind the gate.
        trust_env=False,
        # What unpacks to gigabytes is not unpacked.
        auto_decompress=False,
    )


async def _exchange(session: aiohttp.ClientSession, url: URL, body: bytes, headers: Mapping[str, str]) -> Answer:
    end = asyncio.get_running_loop().time() + WHOLE_SECONDS
    sent = {"User-Agent": "signalflow", "Accept-Encoding": "identity", **headers}
    async with asyncio.timeout_at(end):
        response = await session.post(url, data=body, headers=sent, allow_redirects=False)
    taken = bytearray()
    # The status decides. A body that is slow, cut or endless changes nothing.
    with contextlib.closing(response), contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout_at(end):
            while len(taken) < MOST_READ and (chunk := await response.content.read(MOST_READ - len(taken))):
                taken += chunk
    return Answer(response.status, response.headers, bytes(taken))


def _what_failed(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host was not found: check the name"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({cause.verify_message})"
    if isinstance(cause, ssl.SSLError):
        return "no TLS connection: check that https is spoken at this port"
    if isinstance(error, TimeoutError):
        return f"no answer within {WHOLE_SECONDS:g} s ({CONNECT_SECONDS:g} s to connect)"
    if isinstance(cause, OSError) and cause.errno is not None:
        return f"no connection ({os.strerror(cause.errno)})"
    return f"no usable answer ({type(error).__name__})"
