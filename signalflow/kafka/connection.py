"""How every client of this project reaches Kafka: the one place that turns settings into connection options."""

import logging
import ssl
from typing import Any

from signalflow.errors import Fatal
from signalflow.kafka.no_topic_creation import create_no_topics
from signalflow.settings import Settings

create_no_topics()

# aiokafka logs every request at DEBUG, also the request that carries the password.
logging.getLogger("aiokafka.conn").addFilter(lambda record: record.levelno > logging.DEBUG)

# Longest wait for the answer to one request, in milliseconds.
REQUEST_TIMEOUT_MS = 10_000


def connection_options(settings: Settings) -> dict[str, Any]:
    """The keyword arguments that every client of aiokafka gets: addresses, security protocol, TLS context, credentials.

    Raises Fatal when a certificate file holds nothing that TLS can use.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": settings.kafka_security.upper(),
    }
    if settings.kafka_uses_tls:
        options["ssl_context"] = tls_context(settings)
    if settings.kafka_uses_sasl:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return options


def plaintext_options(bootstrap_servers: str) -> dict[str, Any]:
    """Like `connection_options`, for the embedded Kafka: it uses no TLS and no login, whatever the settings say."""
    return {"bootstrap_servers": bootstrap_servers, "security_protocol": "PLAINTEXT"}


def tls_context(settings: Settings) -> ssl.SSLContext:
    """A TLS context that checks the brokers' certificates and host names, with our own certificate where one is set.

    Raises Fatal when a file holds nothing that TLS can use.
    """
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
    except (ssl.SSLError, OSError) as error:
        raise Fatal(f"SIGNALFLOW_KAFKA_CA_FILE={settings.kafka_ca_file}: no CA certificate in PEM format") from error
    if settings.kafka_cert_file is not None:
        # Without a password OpenSSL would ask for one on the terminal.
        password = settings.kafka_key_password.get_secret_value()
        try:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file, lambda: password)
        except (ssl.SSLError, OSError) as error:
            raise Fatal(
                f"SIGNALFLOW_KAFKA_CERT_FILE={settings.kafka_cert_file} and SIGNALFLOW_KAFKA_KEY_FILE="
                f"{settings.kafka_key_file} are not a certificate and its key in PEM format; a key that is encrypted "
                "needs SIGNALFLOW_KAFKA_KEY_PASSWORD"
            ) from error
    return context
