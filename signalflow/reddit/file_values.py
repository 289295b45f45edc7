"""Splits a text into JSON values: those of each line, or those of a JSON document, such as an array over many lines.

A line has one value, or several where files were joined without a line end. Lines are independent: a bad one harms no
other. In a document nobody knows where a bad value ends, so reading stops there, with a reason. Memory is bounded by
the longest value.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from signalflow.errors import Invalid
from signalflow.reddit.file_bytes import CHUNK

# The longest record that Kafka takes (topics.MAX_MESSAGE_BYTES). The longest real line of NDJSON has a tenth of that.
MAX_LINE_BYTES = 1 << 20
# A value of a document may be a saved page: 100 posts of 40,000 characters, twice (as Markdown and as HTML).
MAX_VALUE_CHARACTERS = 1 << 24


class Unread(Invalid):
    """A document cannot be read further."""


# The number of the line in which a value begins, and the value, or the reason why it cannot be read.
Value = tuple[int, object | Invalid]

# A page of Reddit, a wrapper of posts, or a data frame that was written by columns.
_PAGE = re.compile(rb'\s*\{\s*"(?:kind"\s*:\s*"Listing"|[^"\\]{1,100}"\s*:\s*[\[{])')
# Also a comma after each value, the separator of JSON text sequences (RFC 7464), and the byte order mark of a file that
# was appended to another.
_BETWEEN = re.compile(r"[\s,\x1e\ufeff]*")
# Python itself refuses to read numbers of more than 4,300 digits.
_LONGEST_INTEGER = 400
_CUT = ("true", "false", "null", "NaN", "Infinity", "-Infinity", ".", "e+", "e-", "E+", "E-")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


# Unlike msgspec it accepts NaN, lone surrogates, and control characters within texts, as careless programs write them.
_LENIENT = json.JSONDecoder(parse_int=_integer, strict=False)


def values_in(text: BinaryIO) -> Iterator[Value]:
    """The JSON values of a text in UTF-8."""
    number, line = 1, text.readline(MAX_LINE_BYTES + 1)
    while line and not line.strip():
        number, line = number + line.endswith(b"\n"), text.readline(MAX_LINE_BYTES + 1)
    if _begins_a_document(line):
        yield from _Document(number, line, text).values()
        return
    while line:
        whole = len(line) <= MAX_LINE_BYTES
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = text.readline(MAX_LINE_BYTES + 1)
        if not whole:
            yield number, Invalid(f"longer than {MAX_LINE_BYTES} bytes")
        elif stripped := line.strip(b" \t\r\n\x1e,"):
            for value in _values_of(stripped):
                yield number, value
        number, line = number + 1, text.readline(MAX_LINE_BYTES + 1)


def _begins_a_document(line: bytes) -> bool:
    """Whether a text with this first line is a JSON document, not one value a line."""
    line = line.strip()
    if line.startswith(b"["):
        return True
    if not line.startswith(b"{"):
        return False
    if len(line) >= MAX_LINE_BYTES:
        return _PAGE.match(line) is not None or _begins_with_an_object(line)
    try:
        _LENIENT.decode(line.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return False
    except json.JSONDecodeError as error:
        # Nothing is wrong with the line but that it ends.
        return error.pos >= len(error.doc)
    except RecursionError:
        return False
    return False


def _begins_with_an_object(line: bytes) -> bool:
    """Whether there is a whole JSON object at the start, as where posts follow each other without line ends."""
    try:
        _LENIENT.raw_decode(line.decode("utf-8", "ignore"))
    except (ValueError, RecursionError):
        return False
    return True


def _values_of(line: bytes) -> Iterator[object | Invalid]:
    """The values of a line, up to the first that cannot be read."""
    try:
        value: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        yield from _values_of_careless(line)
    else:
        yield value


def _values_of_careless(line: bytes) -> Iterator[object | Invalid]:
    try:
        text = line.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        yield Invalid("not UTF-8")
        return
    position = 0
    while (position := _after(_BETWEEN, text, position)) < len(text):
        try:
            value, position = _LENIENT.raw_decode(text, position)
        except (ValueError, RecursionError):
            yield Invalid("not a JSON object")
            return
        if not isinstance(value, dict | list) and _after(_BETWEEN, text, position) < len(text):
            # Text, such as the time before an entry of a log, that begins like a number.
            yield Invalid("not a JSON object")
            return
        yield value


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where the match of a pattern that matches everywhere ends."""
    match = pattern.match(text, position)
    assert match is not None
    return match.end()


class _Document:
    """The values of a JSON document: the elements of its outermost array, or values one after another."""

    def __init__(self, line_number: int, start: bytes, rest: BinaryIO) -> None:
        self._line_number = line_number
        self._file = rest
        # Bytes that are not UTF-8 become lone surrogates, which no text keeps (events.storable).
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = self._decoder.decode(start)
        self._position = 0
        self._ended = False

    def values(self) -> Iterator[Value]:
        """The values, and at the end Unread if the document could not be read to its end."""
        depth = 0
        while (character := self._next_character()) is not None:
            if character == "[" and depth == 0:
                depth, self._position = 1, self._position + 1
            elif character == "]" and depth == 1:
                depth, self._position = 0, self._position + 1
            else:
                line_number = self._line_number
                value = self._next_value()
                yield line_number, value
                if isinstance(value, Unread):
                    return
        if depth:
            yield self._line_number, Unread("the file ends before its array does")

    def _next_character(self) -> str | None:
        """The first character of what comes next; None at the end."""
        while True:
            self._pass_to(_after(_BETWEEN, self._text, self._position))
            if self._position < len(self._text):
                return self._text[self._position]
            if self._ended:
                return None
            self._read_more()

    def _next_value(self) -> object | Unread:
        while True:
            try:
                value, end = _LENIENT.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                if self._ended or len(self._text) - self._position > MAX_VALUE_CHARACTERS:
                    return self._why_not(error)
            except RecursionError:
                return Unread("nested too deeply; nothing after it was read")
            else:
                # At the end of what was read a number may go on.
                if self._ended or end < len(self._text):
                    self._pass_to(end)
                    return value  # type: ignore[no-any-return]
            self._read_more()

    def _why_not(self, error: json.JSONDecodeError) -> Unread:
        if not self._ended:
            return Unread(f"longer than {MAX_VALUE_CHARACTERS} characters, or not JSON; nothing after it was read")
        rest = self._text[error.pos :].rstrip()
        # A cut literal such as `fals` is an error at its first letter, and a cut number such as `1.` at its point.
        if any(word.startswith(rest) for word in _CUT) or error.msg.startswith("Unterminated string"):
            return Unread("the file ends within this value")
        line_number = self._line_number + self._text.count("\n", self._position, error.pos)
        return Unread(f"not JSON ({error.msg}, line {line_number}); nothing after it was read")

    def _pass_to(self, position: int) -> None:
        self._line_number += self._text.count("\n", self._position, position)
        self._position = position

    def _read_more(self) -> None:
        """Read as much again as is unread now, so that a long value is parsed a few times and not for each chunk."""
        unread = self._text[self._position :]
        data = self._file.read(max(CHUNK, len(unread)))
        self._ended = not data
        self._text, self._position = unread + self._decoder.decode(data, self._ended), 0
