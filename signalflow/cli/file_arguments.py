"""The files that arguments name: files and pipes, directories, patterns, and `-` for standard input."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

# Opening it by this name reads a redirected file from its start, also a second time.
STANDARD_INPUT = Path("/dev/stdin")
# Of a directory only files with these endings are taken: it may hold others, such as a description.
_ENDINGS = frozenset({".ndjson", ".jsonl", ".json", ".csv", ".tsv", ".gz", ".zst", ".zstd", ".xz", ".bz2"})


def files_of(arguments: Sequence[str]) -> list[Path]:
    """The files that arguments name, each once. Raises typer.BadParameter for an argument that names none."""
    found: dict[Path, Path] = {}
    for argument in arguments:
        for path in _files_of(argument):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _files_of(argument: str) -> list[Path]:
    path = STANDARD_INPUT if argument == "-" else Path(argument)
    if path.is_dir():
        files = sorted(_files_in(path))
        if not files:
            raise typer.BadParameter(f"{argument} holds no file that ends in {', '.join(sorted(_ENDINGS))}")
        return files
    if path.exists():
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]
    if not matches:
        raise typer.BadParameter(f"{argument} does not exist")
    return [file for match in matches for file in (sorted(_files_in(match)) if match.is_dir() else [match])]


def _files_in(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
