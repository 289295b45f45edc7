"""The schema of the database, as Alembic revisions. Run them with `signalflow migrate` (signalflow/storage/migrate.py)."""
