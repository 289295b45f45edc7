"""Defects that the tests must catch: each is put into a copy of the project, and the tests that are named must then fail."""
