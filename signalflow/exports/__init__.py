"""Exports: rows of posts, comments and observations as CSV, NDJSON or Parquet, piece by piece."""
