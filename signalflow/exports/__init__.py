"""Exports: rows of posts and comments as CSV, NDJSON or Parquet, piece by piece."""
