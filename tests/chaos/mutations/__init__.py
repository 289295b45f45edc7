"""Defects that the tests must catch: each is put into a copy of the project, and the named tests must then fail."""
