"""Opens files that may be anything. Pipes, sockets and devices are refused, so that nothing hangs."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class NotRegular(OSError):
    """A folder, pipe, socket, device or broken link."""

    def __init__(self, path: str | Path):
        super().__init__(errno.EINVAL, "a folder, pipe, device or broken link", str(path))


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading bytes.

    Raises:
        NotRegular: the path is not a regular file.
        OSError: it cannot be opened.
    """
    try:
        file = open(path, "rb", opener=_open_nonblocking)  # noqa: SIM115  (the caller closes it)
    except IsADirectoryError:
        raise NotRegular(path) from None
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ELOOP) or (error.errno == errno.ENOENT and Path(path).is_symlink()):
            raise NotRegular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegular(path)
    return file


def read_regular(path: str | Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        NotRegular: the path is not a regular file.
        OSError: it cannot be read, or is too long.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"{size:,} bytes; at most {most:,} are read", str(path))
        return file.read()


def check_regular(path: str | Path) -> None:
    """Raise the error of `open_regular` if a path cannot be opened; for code that opens its files itself."""
    open_regular(path).close()


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # otherwise opening a pipe without a writer would block
