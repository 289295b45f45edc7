"""What is wrong with a parameter, in words that speak of what was given.

Pydantic's own messages speak of its types: of the "items" of a text, and in regular expressions.
"""

from collections.abc import Mapping
from typing import Any

MOST_SHOWN = 40


def in_words(error: Mapping[str, Any]) -> str:
    """The message for one error of pydantic; pydantic's own when it hides the input, which may be a password."""
    if "input" not in error:
        return str(error["msg"])
    given, limits = error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is unknown here; GET /docs lists the parameters of each address"
        case "given_again":
            return f"may be given once, not {len(given)} times"
        case "string_too_long" | "too_long":
            return _length("at most", limits["max_length"], given)
        case "string_too_short" | "too_short":
            return _length("at least", limits["min_length"], given)
        case "greater_than_equal":
            return f"must be at least {limits['ge']}, not {_shown(given)}"
        case "greater_than":
            return f"must be more than {limits['gt']}, not {_shown(given)}"
        case "less_than_equal":
            return f"must be at most {limits['le']}, not {_shown(given)}"
        case "less_than":
            return f"must be less than {limits['lt']}, not {_shown(given)}"
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"must be a whole number, not {_shown(given)}"
        case "float_parsing" | "float_type" | "finite_number":
            return f"must be a number, not {_shown(given)}"
        case "bool_parsing" | "bool_type":
            return f"must be true or false, not {_shown(given)}"
        case "string_type":
            return f"must be a text, not {_shown(given)}"
        case "literal_error" | "enum":
            return f"must be {limits['expected']}, not {_shown(given)}"
        case "timezone_aware":
            return f"must name a time zone, such as 2026-01-31T12:00:00Z, not {_shown(given)}"
        case "json_invalid":
            return f"is no JSON: {limits.get('error', 'it cannot be parsed')}"
        case kind if kind.startswith(("datetime", "date_")):
            return f"must be a time with a time zone, such as 2026-01-31T12:00:00Z, not {_shown(given)}"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


def _length(bound: str, limit: int, given: object) -> str:
    if not given:
        return "must not be empty"
    if isinstance(given, str):
        return f"must have {bound} {limit} characters, not {len(given)}"
    number = len(given) if isinstance(given, list | dict | tuple | set) else "as given"
    return f"may be given {bound} {limit} times, not {number}"


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
