"""JSON Schema of wire models for readers outside Python."""

from typing import Any


def ecma(schema: Any) -> Any:
    r"""The schema with its patterns in the dialect of JSON Schema: `^` and `$` for Python's `\A` and `\Z`."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\A", "^").replace(r"\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else ecma(value)
            for name, value in schema.items()
        }
    return [ecma(item) for item in schema] if isinstance(schema, list) else schema
