"""A streaming replica of an embedded PostgreSQL."""

import os

from signalflow.local.postgres import EmbeddedPostgres

REPLICATION_RULE = "host replication all 127.0.0.1/32 scram-sha-256\n"


class Replica(EmbeddedPostgres):
    """A streaming replica of another server. It replicates with an account and has the password of the primary."""

    def follow(self, primary: EmbeddedPostgres, port: int | None = None) -> None:
        """Copy the primary's cluster. The replica then reaches the primary by this port (None: its own)."""
        self.data_dir.mkdir(parents=True, mode=0o700)
        (self.data_dir / "password").write_text((primary.data_dir / "password").read_text())
        self.cluster.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self.cluster, self._account.uid, self._account.gid)
        source = primary.url("postgres").replace(f":{primary.port}/", f":{port or primary.port}/")
        # A fast checkpoint, since a spread one takes minutes.
        self._run(
            self.cluster,
            "pg_basebackup",
            "-d",
            source,
            "-D",
            self._seen_by_server(self.cluster),
            "-R",
            "-X",
            "stream",
            "--checkpoint=fast",
        )
