"""A photo that is listed and not yet opened."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from pyarrow.fs import FileInfo

UNKNOWN = -1  # a size or time that nobody told


class Photo(NamedTuple):
    """`path`: as the table of scores holds it; `file`: what is opened, a path or an address, as bytes since not
    every name is UTF-8; `row`: in a Parquet file of images, else -1; `size`: bytes; `mtime`: nanoseconds since 1970.
    """

    path: str
    file: bytes
    row: int = -1
    size: int = UNKNOWN
    mtime: int = UNKNOWN


def local_photo(path: str) -> Photo:
    """A file of this machine, by its absolute path; what is not there is listed too, and fails when it is read."""
    try:
        facts = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # ValueError: a NUL byte in it
        return Photo(readable(path), os.fsencode(path))
    return Photo(readable(path), os.fsencode(path), -1, facts.st_size, facts.st_mtime_ns)


def remote_photo(address: str, facts: FileInfo) -> Photo:
    """A file at an address."""
    size = UNKNOWN if facts.size is None else facts.size
    return Photo(address, address.encode(), -1, size, UNKNOWN if facts.mtime_ns is None else facts.mtime_ns)


def readable(path: str) -> str:
    """A path as text: bytes of a name that are not UTF-8 stand as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def on_disk(path: str) -> str:
    """The file that a row's path means; there, bytes of a name that are not UTF-8 stand as \\xNN."""
    if "\\x" not in path or os.path.lexists(path):
        return path
    return os.fsdecode(re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), os.fsencode(path)))


def held_at(path: str) -> tuple[str, int]:
    """Table and row of an image that a table holds; of other photos, its path and -1."""
    held = re.fullmatch(r"(.+\.parquet)#(\d{1,18})", path, re.IGNORECASE | re.DOTALL | re.ASCII)
    return (path, -1) if not held or os.path.lexists(on_disk(path)) else (held[1], int(held[2]))
