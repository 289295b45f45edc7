"""Tokens that are not exactly what this API signs are nobody's."""

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from signalflow.errors import Fatal
from tests.api_clients import test_secret
from web.auth.tokens import ACCESS_LIFETIME, Claims, Signer, weakness

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CLAIMS = Claims(user="ada", session=uuid.UUID(int=7))
SIGNER = Signer.of(test_secret)
# By the definition of the key's derivation, not by asking the signer.
ACCESS_KEY = hmac.new(test_secret.encode(), b"signalflow access", hashlib.sha256).digest()


def payload(**changes: Any) -> dict[str, Any]:
    """The claims of a valid access token, changed; None removes one."""
    base = {
        "iss": "signalflow",
        "aud": "signalflow-api",
        "sub": "ada",
        "sid": str(CLAIMS.session),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
        "jti": "1",
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def signed(claims: dict[str, Any], key: bytes = ACCESS_KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm)


def test_an_issued_token_is_read_back_and_a_handmade_one_of_the_same_claims_too() -> None:
    issued = SIGNER.issue("access", CLAIMS, NOW, ACCESS_LIFETIME)
    assert SIGNER.read("access", issued, NOW + timedelta(minutes=9)) == CLAIMS
    assert SIGNER.read("access", signed(payload()), NOW) == CLAIMS


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, payload())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(payload(aud="signalflow-browser")), id="another audience"),
        pytest.param(signed(payload(aud=None)), id="no audience"),
        pytest.param(signed(payload(iss="other")), id="another issuer"),
        pytest.param(signed(payload(iss=None)), id="no issuer"),
        pytest.param(signed(payload(exp=int(NOW.timestamp()) - 6)), id="expired"),
        pytest.param(signed(payload(exp=None)), id="no end"),
        pytest.param(signed(payload(iat=int(NOW.timestamp()) + 60)), id="from the future"),
        pytest.param(signed(payload(jti=None)), id="no id"),
        pytest.param(signed(payload(sub=None)), id="no user"),
        pytest.param(signed(payload(sid=None)), id="no session"),
        pytest.param(signed(payload(sid="x")), id="no session id"),
        pytest.param(signed(payload(sid=7)), id="session of another type"),
        pytest.param(signed(payload(exp="later")), id="end of another type"),
        pytest.param(signed(payload(), algorithm="HS512"), id="another algorithm"),
        pytest.param(signed(payload(), key=test_secret.encode()), id="the secret itself as key"),
        pytest.param(signed(payload(), key=b"k" * 32), id="another key"),
        pytest.param(unsigned(), id="algorithm none"),
        pytest.param(signed(payload())[:-2] + "AA", id="tampered signature"),
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="three dots"),
        pytest.param("é" * 20, id="not ASCII"),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    assert SIGNER.read("access", token, NOW) is None


def test_a_changed_user_breaks_the_signature() -> None:
    head, _, signature = signed(payload()).split(".")
    _, body, _ = signed(payload(sub="root")).split(".")
    assert SIGNER.read("access", f"{head}.{body}.{signature}", NOW) is None


def test_a_cookie_is_no_bearer_token_and_the_other_way_round() -> None:
    access = SIGNER.issue("access", CLAIMS, NOW, ACCESS_LIFETIME)
    cookie = SIGNER.issue("browser", CLAIMS, NOW, ACCESS_LIFETIME)
    assert SIGNER.read("browser", access, NOW) is None
    assert SIGNER.read("access", cookie, NOW) is None


def test_a_csrf_token_is_of_one_session() -> None:
    token = SIGNER.csrf_token(CLAIMS.session)
    assert SIGNER.is_csrf_token(CLAIMS.session, token)
    assert not SIGNER.is_csrf_token(uuid.UUID(int=8), token)
    assert not SIGNER.is_csrf_token(CLAIMS.session, "")
    assert not SIGNER.is_csrf_token(CLAIMS.session, "é")


def test_the_signer_shows_no_secret() -> None:
    assert test_secret not in repr(SIGNER)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "is not set"),
        ("x" * 31, "31 characters"),
        ("kR4mX0qZ7vTn2WcYb9LsE1dHf5JgUpA", "31 characters"),
        ("x" * 64, "repeats itself"),
        ("ABCDEFGHIJKL" * 4, "repeats itself"),
        ("please-CHANGE-ME-before-production-0123456789", "placeholder"),
        ("django-insecure-secret-key-for-everybody-42", "placeholder"),
    ],
)
def test_a_missing_or_weak_secret_is_refused_with_how_to_make_one_and_not_shown(secret: str, why: str) -> None:
    with pytest.raises(Fatal, match="token_urlsafe") as refused:
        Signer.of(secret)
    assert why in str(refused.value)
    assert not secret or secret not in str(refused.value)


def test_a_secret_made_as_the_message_says_is_accepted() -> None:
    # Not token_hex(16): of 32 random hexadecimal digits, one in 12,000 has fewer than ten distinct ones and is refused.
    for make in (lambda: secrets.token_urlsafe(48), lambda: secrets.token_hex(32)):
        assert [weakness(make()) for _ in range(200)] == [None] * 200
