"""A folder of files made for photos, laid out like the library: each file has the same relative path as its photo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

from pipelines.library.columns import Row
from pipelines.library.photo import from_text
from r2mrf.errors import UserError


def shared_folder(paths: Iterable[str]) -> str:
    """Return the deepest folder that contains all paths, with a slash at the end; '' if there is none."""
    folders = [path.split("/")[:-1] for path in paths]
    if not folders:
        return ""
    first, last = min(folders), max(folders)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(f"{name}/" for name, _ in same)


class Mirror:
    """Assigns places below `folder` to the photos of `rows`.

    A photo that is itself below `folder`, by its own path or with all links followed, keeps its place, so that a
    sidecar is next to its photo. For other photos, the path below their deepest common folder is used.
    """

    def __init__(self, folder: Path, rows: Sequence[Row]):
        self.folder = folder
        self._named = os.path.abspath(folder).rstrip("/") + "/"  # noqa: PTH100
        self._own = os.path.realpath(folder).rstrip("/") + "/"
        self._real = cache(os.path.realpath)  # of the folders of photos, which may be named by a link
        self._shared = shared_folder(from_text(row.path) for row in rows)

    def path_of(self, path: str) -> Path:
        """Return the place of a photo.

        Raises:
            UserError: the photo's path leads out of the folder.
        """
        location = from_text(path)
        folder, _, name = location.rpartition("/")
        real = f"{self._real(folder)}/{name}" if folder.startswith("/") else location
        below = ((location, self._named), (real, self._own))
        location, top = next((found for found in below if found[0].startswith(found[1])), (location, self._shared))
        parts = [part for part in location[len(top) :].split("/") if part not in ("", ".")]
        if ".." in parts or not parts or "\0" in path:
            raise UserError(f"{path}: this path cannot be mirrored below {self.folder}")
        return self.folder.joinpath(*parts)
