"""What signing in needs; made once per process."""

from dataclasses import dataclass

from pwdlib import PasswordHash

from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from web.auth.identities import Identities
from web.auth.passwords import Passwords
from web.auth.tokens import Signer


@dataclass(frozen=True)
class Accounts:
    """The parts.

    `cookie_name` contains the port: cookies belong to a host, and two APIs of one host must not share one.
    """

    signer: Signer
    identities: Identities
    passwords: Passwords
    cookie_name: str

    @classmethod
    def of(cls, settings: Settings, signer: Signer, pool: Pool, hasher: PasswordHash | None) -> "Accounts":
        """Without a hasher, argon2 as recommended."""
        return cls(
            signer=signer,
            identities=Identities(pool),
            passwords=Passwords(hasher),
            cookie_name=f"signalflow_session_{settings.api_port}",
        )

    def close(self) -> None:
        """End the threads that hash passwords."""
        self.passwords.close()
