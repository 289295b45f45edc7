"""Whether a request carries the token of the installation, which opens workers' views and the metrics of the API."""

import hmac

from pydantic import SecretStr


def carries(authorization: str, token: SecretStr) -> bool:
    """Whether this header `Authorization` is `Bearer` with the token. An empty token is carried by none."""
    secret = token.get_secret_value().encode()
    scheme, _, given = authorization.partition(" ")
    # Bytes, because text with other characters than ASCII cannot be compared.
    return (
        bool(secret)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(errors="surrogateescape"), secret)
    )
