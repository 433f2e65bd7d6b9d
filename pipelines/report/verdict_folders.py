"""Links or copies photos into one folder per verdict; the photos themselves stay where they are."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import defaultdict
from pathlib import Path

from pipelines.library.photo import from_text
from pipelines.report.mirror import Mirror, shared_folder
from pipelines.report.scored_folder import ReportRow
from pipelines.report.tables import is_local
from r2mrf.errors import UserError
from r2mrf.prediction.focus import VERDICTS
from r2mrf.system.atomic import atomic_file


def fill(rows: list[ReportRow], folder: Path, copy: bool = False) -> tuple[int, list[str]]:
    """Link or copy each scored photo on this machine to `folder`/VERDICT, which mirrors the library.

    Existing files stay. Only our own links to the same photo are moved when its verdict has changed.

    Returns:
        The number of photos that are now there, and a sentence for each photo that is not.

    Raises:
        UserError: the folder is inside the library, so the next scoring would take the links for photos.
    """
    photos = [row for row in rows if row.status == "ok" and is_local(row.path)]
    for library in _libraries(photos):
        if (os.path.realpath(folder) + "/").startswith(os.path.realpath(library) + "/"):
            raise UserError(f"{folder} is inside {library}, among the photos: choose a folder outside of it")
    mirrors = {verdict: Mirror(folder / verdict, photos) for verdict in VERDICTS}
    done, failures = 0, []
    for row in photos:
        try:
            targets = {verdict: mirror.path_of(row.path) for verdict, mirror in mirrors.items()}
            _put(Path(from_text(row.path)), targets.pop(row.verdict or ""), copy)
            for target in targets.values():
                if target.is_symlink() and os.readlink(target) == from_text(row.path):  # noqa: PTH115
                    target.unlink()
            done += 1
        except UserError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(f"{row.path}: cannot be linked or copied into {folder} ({error.strerror})")
    return done, failures


def _libraries(photos: list[ReportRow]) -> list[str]:
    """Return the deepest common folder of the photos below each top-level folder, such as /home or /media."""
    by_top = defaultdict[str, list[str]](list)
    for path in (from_text(row.path) for row in photos):
        by_top[path.split("/")[1]].append(path)
    return [folder for paths in by_top.values() if (folder := shared_folder(paths)) != "/"]


def _put(photo: Path, target: Path, copy: bool) -> None:
    if os.path.lexists(target):
        same = filecmp.cmp(photo, target, shallow=False) if copy else target.is_symlink() and target.readlink() == photo
        if not same:
            raise UserError(f"{target}: another file already exists there and is kept; {photo} was skipped")
    elif not photo.is_file():
        raise UserError(f"{photo}: this photo is gone")
    elif copy:
        with atomic_file(target) as temporary:
            shutil.copy2(photo, temporary)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(photo)
