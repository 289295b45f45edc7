"""Names the formats that are not read as posts. Their first bytes tell."""

import re

_NOT_READ = (
    (b"PK\x03\x04", "a Zip archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (b"Rar!", "a Rar archive: unpack it first"),
    (b"\x04\x22\x4d\x18", "packed with LZ4: unpack it first"),
    (b"\x1f\x9d", "packed with compress: unpack it first"),
    (b"LZIP", "packed with lzip: unpack it first"),
    (b"\xff\x06\0\0sNaPpY", "packed with Snappy: unpack it first"),
    (b"PAR1", "a Parquet file: write it as JSON first"),
    (b"ARROW1", "an Arrow file: write it as JSON first"),
    (b"SQLite format 3", "an SQLite database: write its table as JSON first"),
    (b"\x89HDF", "an HDF file: write it as JSON first"),
    (b"FEA1", "a Feather file: write it as JSON first"),
    (b"Obj\x01", "an Avro file: write it as JSON first"),
    (b"ORC", "an ORC file: write it as JSON first"),
    (b"\x93NUMPY", "a NumPy file: write it as JSON first"),
    (b"RDX", "an R file: write it as JSON first"),
    (b"X\n\0\0\0", "an R file: write it as JSON first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel file: write it as JSON first"),
    (b"%PDF", "a PDF file: write it as JSON first"),
    *((word, "a script of SQL: write its table as JSON first") for word in (b"INSERT ", b"CREATE ", b"COPY ", b"-- ")),
    *((bytes([0x80, protocol]), "a pickle of Python: write it as JSON first") for protocol in range(2, 6)),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself first"),
    (b"<", "HTML or XML: save the JSON instead"),
)
# Signatures that are not at the start, with their place.
_INSIDE = (
    (257, b"ustar", "a tar archive: unpack it first"),
    (8, b"DUCK", "a DuckDB database: write its table as JSON first"),
    # The first field of a document, after its length.
    (4, b"\x07_id\0", "a dump of MongoDB (BSON): write it as JSON first"),
)
_TEXTS = (
    (re.compile(r"\[?\s*\{\s*'"), "what Python prints, not JSON: write it with json.dump first"),
    (re.compile(r"[\w.$]+\s*\(|(?:var|let|const|window)\b|\)\]\}'"), "a script, not JSON: save the JSON in it first"),
    (re.compile(r"(?:---\s*)?- \w+:"), "a YAML file: write it as JSON first"),
)


def format_not_read(start: bytes, encoding: str) -> str | None:
    """What the file is that begins with these bytes, and what to do with it; None when it may be JSON or CSV."""
    text = start.decode(encoding, "ignore").removeprefix("\ufeff").lstrip()
    for signature, what in _NOT_READ:
        if start.startswith(signature) or text.encode("utf-8", "ignore").startswith(signature):
            return what
    for place, signature, what in _INSIDE:
        if start.startswith(signature, place):
            return what
    for pattern, what in _TEXTS:
        if pattern.match(text):
            return what
    return None
