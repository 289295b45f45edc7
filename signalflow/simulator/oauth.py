"""OAuth as Reddit does it: the grants of application-only and script clients.

The grant with an authorization code is missing: it needs a person who agrees in a browser.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from urllib.parse import unquote

from signalflow.simulator.answers import Answer, json_answer

INSTALLED_GRANT = "https://oauth.reddit.com/grants/installed_client"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The client that got a bearer token, and when the token expires."""

    client: str
    expires: float


class Tokens:
    """Issues and checks bearer tokens. Times are seconds on one clock of the caller's choice."""

    def __init__(self, clients: Mapping[str, str], accounts: Mapping[str, str], seconds: int) -> None:
        self._clients = clients
        self._accounts = accounts
        self.seconds = seconds
        self._tokens: dict[str, AccessToken] = {}
        self._refresh: dict[str, str] = {}

    def issue(self, authorization: str | None, form: Mapping[str, str], now: float) -> Answer:
        """The answer to POST /api/v1/access_token.

        Wrong credentials get 401 and JSON; a bad grant gets 200 and JSON with an error.
        """
        client = self._client(authorization)
        if client is None:
            answer = json_answer({"message": "Unauthorized", "error": 401}, 401)
            answer.headers["WWW-Authenticate"] = 'Basic realm="reddit"'
            answer.limits = False
            return answer
        if not self._granted(client, form):
            answer = json_answer({"error": "invalid_grant"})
            answer.limits = False
            return answer
        self._tokens = {text: token for text, token in self._tokens.items() if token.expires > now}
        text = token_urlsafe(48)
        self._tokens[text] = AccessToken(client, now + self.seconds)
        fields = {
            "access_token": text,
            "token_type": "bearer",
            "expires_in": self.seconds,
            "scope": form.get("scope") or "*",
        }
        if form.get("grant_type") == "refresh_token":
            del self._refresh[form["refresh_token"]]
        if form.get("grant_type") == "refresh_token" or form.get("duration") == "permanent":
            fields["refresh_token"] = token_urlsafe(24)
            self._refresh[str(fields["refresh_token"])] = client
        answer = json_answer(fields)
        answer.limits = False
        return answer

    def client_of(self, authorization: str | None, now: float) -> str | None:
        """The client id behind an Authorization header; None if the token is unknown or expired."""
        scheme, _, text = (authorization or "").partition(" ")
        token = self._tokens.get(text) if scheme.lower() == "bearer" else None
        return token.client if token is not None and token.expires > now else None

    def expire_all(self) -> None:
        """Make all tokens issued so far invalid."""
        self._tokens.clear()

    def _client(self, authorization: str | None) -> str | None:
        scheme, _, encoded = (authorization or "").partition(" ")
        try:
            client, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        client, secret = unquote(client), unquote(secret)
        return client if scheme.lower() == "basic" and self._clients.get(client) == secret else None

    def _granted(self, client: str, form: Mapping[str, str]) -> bool:
        match form.get("grant_type"):
            case "client_credentials":
                # Only for clients with a secret: an installed app could not prove who it is.
                return bool(self._clients[client])
            case "password":
                password = self._accounts.get(form.get("username", ""))
                return password is not None and password == form.get("password")
            case grant if grant == INSTALLED_GRANT:
                return 20 <= len(form.get("device_id", "")) <= 30 or form.get("device_id") == "DO_NOT_TRACK_THIS_DEVICE"
            case "refresh_token":
                return self._refresh.get(form.get("refresh_token", "")) == client
        return False
