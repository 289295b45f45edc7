"""Why Kafka cannot be used, in one sentence that names the setting to check.

When aiokafka reaches no broker, it raises "Unable to bootstrap" and writes the reason only to its log. This module
connects once more, to learn whether waiting can help.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from signalflow.errors import Fatal, Retryable, SignalflowError
from signalflow.kafka.connection import connection_options
from signalflow.settings import Settings

_PROBE_SECONDS = 3.0
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_WRONG_NAME = frozenset({62, 64})
# What aiokafka raises when it could not connect, whatever the reason.
_NO_CONNECTION = (KafkaConnectionError, NodeNotReadyError)
_NO_ANSWER = (*_NO_CONNECTION, KafkaTimeoutError, RequestTimedOutError, TimeoutError, OSError)
# A broker knows the user, but its access control lists do not allow the request.
_NOT_ALLOWED = (ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError)


async def explained(settings: Settings, error: BaseException, client: AIOKafkaClient | None = None) -> SignalflowError:
    """The error of this project for an error of aiokafka or of the network.

    Fatal when a broker refuses the connection settings or does not allow the request, since waiting does not help;
    otherwise Retryable. When `client` failed, the brokers in its metadata are tried as well as the bootstrap servers.
    """
    why = str(error) or type(error).__name__
    if isinstance(error, _NOT_ALLOWED):
        return Fatal(f"Kafka at {settings.kafka} does not allow this: check the ACLs of SIGNALFLOW_KAFKA_USER ({why})")
    if isinstance(error, _NO_CONNECTION):
        # Its text only lists the bootstrap servers once more.
        why = type(error).__name__
        known = [(broker.host, broker.port) for broker in client.cluster.brokers()] if client is not None else []
        servers = dict.fromkeys([*_bootstrap_servers(settings), *known])
        refusals = await asyncio.gather(*(_refusal(settings, host, port) for host, port in servers))
        for refusal in filter(None, refusals):
            return Fatal(refusal)
    problem = "does not answer" if isinstance(error, _NO_ANSWER) else "answered with an error"
    return Retryable(f"Kafka at {settings.kafka} {problem}: {why}")


def _bootstrap_servers(settings: Settings) -> list[tuple[str, int]]:
    split = (server.strip().rpartition(":") for server in settings.kafka.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in split]


async def _refusal(settings: Settings, host: str, port: int) -> str | None:
    """Why this broker refuses the settings; None when it accepts them, does not answer, or gives no certain reason."""
    options = {name: value for name, value in connection_options(settings).items() if name != "bootstrap_servers"}
    try:
        async with _connected(host, port, options) as connection:
            await connection.send(MetadataRequest([]))
    except (ConnectionRefusedError, TimeoutError):
        return None
    except (KafkaError, OSError) as error:
        reason = _by_error(settings, error) or await _by_protocol(settings, host, port, options)
        return f"Kafka at {host}:{port} {reason}" if reason else None
    return None


@asynccontextmanager
async def _connected(host: str, port: int, options: dict[str, Any]) -> AsyncIterator[AIOKafkaConnection]:
    async with asyncio.timeout(_PROBE_SECONDS):
        connection = await create_conn(host, port, **options)
        try:
            yield connection
        finally:
            connection.close()


def _by_error(settings: Settings, error: BaseException) -> str | None:
    """The reason that the error itself gives."""
    for cause in _with_causes(error):
        if isinstance(cause, SaslAuthenticationFailed):
            return "refuses user and password: check SIGNALFLOW_KAFKA_USER and SIGNALFLOW_KAFKA_PASSWORD"
        if isinstance(cause, UnsupportedSaslMechanismError):
            return f"does not offer {settings.kafka_sasl_mechanism}: check SIGNALFLOW_KAFKA_SASL_MECHANISM"
        if isinstance(cause, IllegalSaslStateError):
            return f"takes no user and password on this port: check {_security(settings)}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _WRONG_NAME:
                return f"has a certificate for another host name: check SIGNALFLOW_KAFKA ({cause.verify_message})"
            return f"has a certificate that is not trusted: check SIGNALFLOW_KAFKA_CA_FILE ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
            what = "refuses our certificate" if settings.kafka_cert_file else "asks for a client certificate"
            return f"{what}: check SIGNALFLOW_KAFKA_CERT_FILE and SIGNALFLOW_KAFKA_KEY_FILE ({cause.reason})"
    return None


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


async def _by_protocol(settings: Settings, host: str, port: int, options: dict[str, Any]) -> str | None:
    """The reason when the broker gave none: it closes a connection of the wrong protocol. Tries other protocols."""
    if not settings.kafka_uses_tls and await _speaks_tls(host, port):
        return f"expects TLS on this port, but {_security(settings)} uses no TLS: set it to ssl or sasl_ssl"
    if settings.kafka_uses_tls and await _speaks_plaintext(host, port):
        return f"expects no TLS on this port, but {_security(settings)} uses TLS: set it to plaintext or sasl_plaintext"
    if not settings.kafka_uses_sasl and await _wants_login(host, port, options):
        return f"requires a login, but {_security(settings)} sends none: set it to sasl_ssl or sasl_plaintext"
    return None


def _security(settings: Settings) -> str:
    return f"SIGNALFLOW_KAFKA_SECURITY={settings.kafka_security}"


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether the port answers a TLS handshake. The certificate is not checked, since nothing is sent afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _speaks_plaintext(host: str, port: int) -> bool:
    """Whether the port answers a request for API versions without TLS. This request needs no authentication."""
    try:
        async with _connected(host, port, {}):
            return True
    except (KafkaError, OSError):
        return False


async def _wants_login(host: str, port: int, options: dict[str, Any]) -> bool:
    """Whether the port uses SASL. A port without SASL refuses the request for a mechanism."""
    try:
        async with _connected(host, port, options) as connection:
            answer = await connection.send(SaslHandShakeRequest("PLAIN"))
    except (KafkaError, OSError):
        return False
    return bool(answer.error_code != IllegalSaslStateError.errno)
