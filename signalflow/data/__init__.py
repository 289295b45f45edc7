"""Data files of the project, read through importlib.resources."""
