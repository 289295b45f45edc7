"""Connection options are made of the settings, for aiokafka and for Faust's consumer alike."""

import ssl
from pathlib import Path
from typing import Any

import faust
import pytest
import trustme
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import SecretStr

from signalflow.errors import Fatal
from signalflow.kafka.connection import connection_options
from signalflow.settings import Settings
from signalflow.streams.app import credentials

LOGIN: dict[str, Any] = {"kafka_user": "someone", "kafka_password": SecretStr("hush-hush")}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A CA, a client's certificate and its key."""
    authority = trustme.CA()
    client = authority.issue_cert("client")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    return {
        "kafka_ca_file": tmp_path / "ca.pem",
        "kafka_cert_file": tmp_path / "client.pem",
        "kafka_key_file": tmp_path / "client.key",
    }


def test_plaintext_needs_nothing() -> None:
    assert connection_options(Settings(kafka="host:1")) == {
        "bootstrap_servers": "host:1",
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("security", ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"])
def test_faust_connects_as_every_other_client_does(security: Any, mechanism: Any) -> None:
    login = LOGIN if security.startswith("sasl") else {}
    settings = Settings(kafka_security=security, kafka_sasl_mechanism=mechanism, **login)
    expected = connection_options(settings)
    del expected["bootstrap_servers"]
    found = credentials_to_aiokafka_auth(credentials(settings), None)
    assert isinstance(found.pop("ssl_context", None), ssl.SSLContext) == security.endswith("ssl")
    expected.pop("ssl_context", None)
    assert found == expected


def test_certificates_and_host_names_are_checked(files: dict[str, Path]) -> None:
    context = connection_options(Settings(kafka_security="ssl", **files))["ssl_context"]  # type: ignore[arg-type]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("name", ["kafka_ca_file", "kafka_cert_file", "kafka_key_file"])
def test_a_file_without_what_it_should_hold_is_fatal_and_named(files: dict[str, Path], name: str) -> None:
    files[name].write_text("nothing")
    settings = Settings(kafka_security="ssl", **files)  # type: ignore[arg-type]
    with pytest.raises(Fatal, match=f"SIGNALFLOW_{name.upper()}"):
        connection_options(settings)


def test_a_password_is_not_shown_by_what_holds_it() -> None:
    settings = Settings(kafka_security="sasl_ssl", **LOGIN)
    assert "hush-hush" not in repr(settings) + str(settings.model_dump()) + repr(credentials(settings))
    assert isinstance(credentials(settings), faust.SASLCredentials)
