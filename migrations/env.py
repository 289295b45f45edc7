"""Alembic's environment.

signalflow/storage/migrate.py gives the connection, and holds the advisory lock during the run.
"""

from alembic import context

from signalflow.errors import Fatal


def run() -> None:
    """Run the revisions on the given connection, or print their SQL in offline mode."""
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, transactional_ddl=True)
    else:
        connection = context.config.attributes.get("connection")
        if connection is None:
            raise Fatal("migrations run through `signalflow migrate`, which locks out a second run")
        context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


run()
