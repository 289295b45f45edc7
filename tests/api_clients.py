"""Clients of the API that have signed in."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import NAMESPACE_DNS, uuid5

import asyncpg

from signalflow.clock import utcnow
from signalflow.settings import Settings
from web.auth.tokens import ACCESS_LIFETIME, Claims, Signer

# For Settings(api_secret=test_secret), also inside SecretStr(...).
test_secret = "fM2v9Xq0Zt7Kc4RwB1yLh8NdJ5sGp3Ua"

_USER = "INSERT INTO users (name, role, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_SESSION = """
INSERT INTO sessions (id, user_name, kind, created_at, expires_at) VALUES ($1, $2, 'token', $3, $4)
ON CONFLICT DO NOTHING
"""


def bearer(settings: Settings, role: str = "reader") -> dict[str, str]:
    """Headers of the user `test-<role>`, who is added if the database is there and has the schema.

    Valid for ten minutes.

    Without a database they allow reading, as for every user who has signed in before.
    """
    name, session, now = f"test-{role}", uuid5(NAMESPACE_DNS, role), utcnow()

    async def make_user() -> None:
        with suppress(OSError, asyncpg.UndefinedTableError):
            connection = await asyncpg.connect(settings.database_url.get_secret_value(), timeout=2)
            try:
                await connection.execute(_USER, name, role, now)
                await connection.execute(_SESSION, session, name, now, now + timedelta(days=1))
            finally:
                await connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, make_user()).result()
    signer = Signer.of(settings.api_secret.get_secret_value())
    token = signer.issue("access", Claims(user=name, session=session), now, ACCESS_LIFETIME)
    return {"Authorization": f"Bearer {token}"}
