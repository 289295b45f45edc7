"""The schema of the database, as Alembic revisions. `signalflow migrate` runs them (signalflow/storage/migrate.py)."""
