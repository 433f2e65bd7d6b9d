"""Writes files and folders so that they appear completely or not at all."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from r2mrf.errors import UserError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; at the end it is renamed to `path`, after an error removed.

    If `path` is a link, the file that it leads to is written.

    Raises:
        UserError: the file cannot be written, or `path` is a pipe or a device, which renaming would replace.
    """
    with _as_user_error(path):
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise UserError(f"{path}: this is not a regular file and would be replaced: choose another name")
    # the name is unique for every attempt, and short: that of `path` may be as long as names can be
    temporary = target.with_name(f".{uuid.uuid4().hex}")
    try:
        with _as_user_error(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(target)
    finally:
        with suppress(OSError):  # it was renamed, or could not be created at all
            temporary.unlink()


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` to fill. At the end it replaces `folder`; after an error it is removed.

    If anything fails, the old content of `folder` stays.

    Raises:
        UserError: the folder cannot be written.
    """
    with _as_user_error(folder):
        folder = folder.absolute()  # so that "." has a name and a parent, too
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            new.mkdir()
            yield new
            if folder.exists():
                folder.replace(old)
            try:
                new.replace(folder)
            except BaseException:
                if old.exists():
                    old.replace(folder)
                raise


def would_delete(folder: Path, ours: Collection[str], what: str) -> str:
    """Return a sentence about a file in a folder that `atomic_folder` would delete, too; "" if there is none.

    Args:
        ours: names of files that may be replaced.
        what: what these files are parts of, for the sentence.
    """
    others = sorted({path.name for path in folder.iterdir()} - set(ours))
    if not others:
        return ""
    return f"{folder} also holds {others[0]}, which is not part of {what} and would be deleted: move it away"


@contextmanager
def _as_user_error(path: Path) -> Iterator[None]:
    """Turn an OSError raised while writing `path` into a UserError."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"{path}: cannot be written ({why}): fix that, or choose another place") from None
