"""Reads whole files from a storage, with limits on bytes and time."""

from __future__ import annotations

import time

from pyarrow.fs import FileSystem, FileType, PyFileSystem

from r2mrf.imaging.images import MAX_BYTES, ImageError

PIECE = 1 << 22  # bytes read at a time


def content(system: FileSystem, path: str, seconds: float) -> bytes:
    """Return the content of a file.

    Args:
        seconds: time limit, for storages that are read piece by piece.

    Raises:
        ImageError: not_a_file, too_large, timeout, or unreachable because there is no such bucket.
        Exception: whatever the storage's client raises.
    """
    return _streamed(system, path, seconds) if isinstance(system, PyFileSystem) else _whole(system, path)


def _whole(system: FileSystem, path: str) -> bytes:
    """Read a file with two requests, for size and content; a stream would make one for every small piece."""
    try:
        file = system.open_input_file(path)
    except Exception as error:
        kind = system.get_file_info(path).type
        if kind == FileType.Directory:
            raise ImageError("not_a_file") from None
        bucket = path.partition("/")[0]
        if isinstance(error, FileNotFoundError) and system.get_file_info(bucket).type == FileType.NotFound:
            raise ImageError("unreachable", f"there is no bucket {bucket}") from None
        raise
    with file:
        _check(file.size())
        return file.read()


def _streamed(system: FileSystem, path: str, seconds: float) -> bytes:
    """Read a file piece by piece, which also works for servers that do not send parts of files."""
    entry = system.get_file_info(path)
    if entry.type == FileType.Directory:
        raise ImageError("not_a_file")
    _check(entry.size or 0)
    pieces, until, size = [], time.monotonic() + seconds, 0
    with system.open_input_stream(path) as file:
        while piece := file.read(PIECE):
            pieces.append(piece)
            _check(size := size + len(piece))
            if time.monotonic() > until:
                raise ImageError("timeout", f"not fetched in {seconds:g} seconds")
    return b"".join(pieces)


def _check(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError("too_large", f"{size:,} bytes; at most {MAX_BYTES:,} are read")
