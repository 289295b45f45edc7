"""Backups of the database: one file with a dump of PostgreSQL's own programs and a manifest of what is in it."""
