"""A lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r2mrf.errors import UserError


@contextmanager
def exclusive(path: Path, held: UserError) -> Iterator[None]:
    """Hold a lock file, which is made with its folder, for this process.

    Raises:
        UserError: `held`, where another process has the lock; or its file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held from None
        except OSError as error:  # some file systems of clusters know no locks
            raise UserError(
                f"{path.parent}: cannot be locked ({error.strerror}); give a folder on another disk"
            ) from None
        yield
