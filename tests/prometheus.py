"""Prometheus for tests: its programs, and the series that an expression of it names."""

import os
import re
import shutil

import pytest

VARIABLE = "SIGNALFLOW_TEST_PROMETHEUS"
_WORDS = frozenset({
    "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "inf",
    "nan",
})  # fmt: skip
# What stands beside the series of an expression: texts, durations in brackets, and lists of labels.
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SERIES = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(\s*\{[^}]*\})?(?!\s*\(|[\w:])")


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`. Without it the test is skipped, or fails when the variable says so."""
    found = shutil.which(name)
    if found is None:
        reason = f"no {name} is installed (Debian: apt-get install --no-install-recommends prometheus)"
        if os.environ.get(VARIABLE) == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def series_of(expression: str) -> set[str]:
    """The selectors of an expression, such as `up{job="api"}`, without their ranges."""
    texts: list[str] = []

    def away(match: re.Match[str]) -> str:
        texts.append(match[0])
        return f'"{len(texts) - 1}"'

    plain = re.sub(r"\[[^]]*\]", "", _LABELS.sub("", _TEXT.sub(away, expression)))
    found = {name + labels.strip() for name, labels in _SERIES.findall(plain) if name.lower() not in _WORDS}
    return {re.sub(r'"(\d+)"', lambda match: texts[int(match[1])], each) for each in found}
