"""Photos linked or copied into one folder a verdict; the photos themselves stay where they are."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from pipelines.library.photo import from_text
from pipelines.report.mirror import Mirror, shared_folder
from pipelines.report.scored_folder import ReportRow
from pipelines.report.tables import is_local
from r2mrf.errors import UserError
from r2mrf.prediction.focus import VERDICTS
from r2mrf.system.atomic import atomic_file


def fill(rows: list[ReportRow], folder: Path, copy: bool = False) -> tuple[int, list[str]]:
    """Link, or copy, each scored photo of this machine to `folder`/VERDICT, below which the library is mirrored.

    What is there already stays; only links of ours to the same photo move when its verdict has changed.

    Returns:
        How many photos are there now, and a sentence for each that is not.

    Raises:
        UserError: the folder lies in the library, whose next scoring would take the links for photos.
    """
    photos = [row for row in rows if row.status == "ok" and is_local(row.path)]
    library = shared_folder(row.path for row in photos)
    if library not in ("", "/") and (os.path.realpath(folder) + "/").startswith(os.path.realpath(library) + "/"):
        raise UserError(f"{folder} lies in {library}, among the photos: give a folder outside of it")
    mirrors = {verdict: Mirror(folder / verdict, photos) for verdict in VERDICTS}
    done, failures = 0, []
    for row in photos:
        try:
            places = {verdict: mirror.place(row.path) for verdict, mirror in mirrors.items()}
            _put(Path(from_text(row.path)), places.pop(row.verdict or ""), copy)
            for place in places.values():
                if place.is_symlink() and os.readlink(place) == from_text(row.path):  # noqa: PTH115
                    place.unlink()
            done += 1
        except UserError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(f"{row.path}: cannot be put into {folder} ({error.strerror})")
    return done, failures


def _put(photo: Path, place: Path, copy: bool) -> None:
    if os.path.lexists(place):
        same = filecmp.cmp(photo, place, shallow=False) if copy else place.is_symlink() and place.readlink() == photo
        if not same:
            raise UserError(f"{place}: something else is there already; it stays, and {photo} is not put there")
    elif not photo.is_file():
        raise UserError(f"{photo}: is gone")
    elif copy:
        with atomic_file(place) as temporary:
            shutil.copy2(photo, temporary)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(photo)
