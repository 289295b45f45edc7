"""The personal feed of a reader who has an account: its secret lifts Reddit's limit by address."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from signalflow.errors import Invalid

_USER = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SECRET = re.compile(r"[A-Za-z0-9]{1,100}")


@dataclass(frozen=True, slots=True)
class PersonalFeed:
    """The account, and the secret that its feed addresses share."""

    user: str
    secret: SecretStr

    @classmethod
    def of(cls, address: SecretStr) -> "PersonalFeed":
        """From any feed address of Reddit's page of feeds, or from its end, `feed=SECRET&user=NAME`.

        Raises Invalid, without a word of the address.
        """
        text = address.get_secret_value().strip()
        try:
            query = parse_qs(urlsplit(text).query or text.removeprefix("?"))
        except ValueError:
            query = {}
        user, secret = query.get("user", [""])[-1], query.get("feed", [""])[-1]
        if not (_USER.fullmatch(user) and _SECRET.fullmatch(secret)):
            raise Invalid("not the address of a personal feed, which ends in ?feed=SECRET&user=NAME", field="feed")
        return cls(user, SecretStr(secret))

    def params(self) -> dict[str, str]:
        """The parameters of a request, with the secret in plain text."""
        return {"feed": self.secret.get_secret_value(), "user": self.user}
