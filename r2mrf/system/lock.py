"""A lock that is released when its process ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r2mrf.errors import UserError


@contextmanager
def exclusive(path: Path, held: UserError) -> Iterator[None]:
    """Hold a lock file for this process; the file and its folder are created if missing.

    Raises:
        UserError: `held`, if another process has the lock; or the file system does not support locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held from None
        except OSError as error:  # some cluster file systems do not support locks
            raise UserError(
                f"{path.parent}: cannot be locked ({error.strerror}): choose a folder on another disk"
            ) from None
        yield
