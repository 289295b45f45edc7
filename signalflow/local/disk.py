"""A disk without space: how it is recognised, and the sentence that tells of it."""

import errno
import os
import shutil
from pathlib import Path

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
# PostgreSQL makes its log in files of this size, and ends when it cannot make the next one.
_LEAST_BYTES = 16 << 20


def lacks_space(error: OSError) -> bool:
    """Whether a file could not be written because its disk, or the quota of its owner, is full."""
    return error.errno in _NO_SPACE


def full_disk(directory: Path) -> str | None:
    """What to tell of the disk that holds this directory; None while there is room."""
    try:
        left = shutil.disk_usage(directory).free
    except OSError:
        return None
    return f"the disk of {directory} is full ({left >> 20} MB left): free some space" if left < _LEAST_BYTES else None


def no_room_for(program: str, said: str, directory: Path) -> str | None:
    """What to tell of a program that ended because its disk is full, as its output tells; None if it ended otherwise.

    It may have removed what it wrote, so that there is room again.
    """
    if not any(os.strerror(number) in said for number in _NO_SPACE):
        return None
    return f"{program} failed because the disk of {directory} has no room: free some space, or give another --state-dir"
