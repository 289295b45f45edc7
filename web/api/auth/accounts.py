"""What signing in needs, made once a process."""

from dataclasses import dataclass

from pwdlib import PasswordHash

from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from web.api.auth.passwords import Passwords
from web.api.auth.standings import Standings
from web.api.auth.tokens import Signer


@dataclass(frozen=True)
class Accounts:
    """The parts. `cookie_name` has the port in it: cookies belong to a host, and two APIs on one would sign each other out."""

    signer: Signer
    standings: Standings
    passwords: Passwords
    cookie_name: str

    @classmethod
    def of(cls, settings: Settings, signer: Signer, pool: Pool, hasher: PasswordHash | None) -> "Accounts":
        """Without a hasher, argon2 as recommended."""
        return cls(
            signer=signer,
            standings=Standings(pool),
            passwords=Passwords(hasher),
            cookie_name=f"signalflow_session_{settings.api_port}",
        )

    def close(self) -> None:
        """End its threads."""
        self.passwords.close()
