"""A lock that is released when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from r2mrf.errors import UserError


@contextmanager
def exclusive(path: Path, held: UserError, patience: float = 0) -> Iterator[None]:
    """Hold a lock file for this process; the file and its folder are created if missing.

    Args:
        patience: seconds to wait for another process that has the lock.

    Raises:
        UserError: `held`, if another process has the lock; or the file system does not support locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        until = time.monotonic() + patience
        try:
            while not _locked(file):
                if time.monotonic() >= until:
                    raise held
                time.sleep(0.2)
        except OSError as error:  # some cluster file systems do not support locks
            raise UserError(
                f"{path.parent}: cannot be locked ({error.strerror}): choose a folder on another disk"
            ) from None
        yield


def _locked(file: TextIO) -> bool:
    """Lock a file; return whether it is locked now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
