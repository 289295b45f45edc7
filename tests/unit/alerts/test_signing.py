"""Signatures of Standard Webhooks, judged by the published vector and by the project's own library."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from signalflow.alerts.signing import SigningSecret, signed_headers


def test_the_published_vector() -> None:
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        datetime.fromtimestamp(1614265330, UTC),
        [SigningSecret.of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.text().map(str.encode), st.binary(min_size=24, max_size=64))
def test_the_library_of_the_specification_accepts_what_we_sign_and_nothing_else(body: bytes, key: bytes) -> None:
    secret = SigningSecret(key)
    headers = signed_headers("msg-1", body, datetime.now(UTC), [SigningSecret.new(), secret])
    Webhook(secret.told()).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.told()).verify(body + b" ", headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SigningSecret.new().told()).verify(body, headers, json_parse=False)


def test_a_secret_is_told_once_and_read_again() -> None:
    secret = SigningSecret.new()
    assert SigningSecret.of(secret.told()) == secret != SigningSecret.new()
    assert len(secret.key) == 32
    assert secret.told()[6:] not in repr(secret)


def test_without_a_secret_nothing_is_signed() -> None:
    assert "webhook-signature" not in signed_headers("a", b"", datetime.now(UTC), [])
