"""`--prune`: forgets photos that are gone; a photo that was moved is recognised by its content and keeps its row."""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from pipelines.library.columns import Row
from pipelines.library.ledger import Ledger
from pipelines.library.listed_photos import ListedPhotos
from pipelines.library.photo import Photo
from pipelines.library.walk import Library, is_empty_or_gone, is_missing, nearest_folder
from r2mrf.imaging import images


def prune(library: Library, ledger: Ledger, known: ListedPhotos, fresh: list[Photo]) -> list[Photo]:
    """Drop the rows of photos in the library's folders that no longer exist.

    Photos are kept if their folder, or the nearest existing folder above, is empty: a disk may have been mounted there.

    Args:
        known: the listed photos, after the whole library has been looked up in it.
        fresh: photos that are not listed.

    Returns:
        Those of `fresh` that are not moved photos.
    """
    library.check()
    gone: dict[int, list[Photo]] = {}
    kept = 0
    for number in map(int, known.unseen()):
        missing = [p for p in ledger.photos(number) if _is_gone(p, library)]
        sure = [p for p in missing if not is_empty_or_gone(nearest_folder(p.name.location))]
        kept += len(missing) - len(sure)
        if sure:
            gone[number] = sure
    if kept:
        print(
            f"kept {kept} rows of missing photos whose folder is empty: remove the folder, or mount its disk again",
            file=sys.stderr,
        )
    rows = {row.path: row for number in gone for row in ledger.rows(number)}
    moved = _moved(fresh, [photo for photos in gone.values() for photo in photos], rows)
    ledger.drop({number: {photo.path for photo in photos} for number, photos in gone.items()})
    if moved:
        number = ledger.add([photo for photo, _ in moved])
        ledger.commit(number, [replace(row, path=photo.path, partner=photo.partner) for photo, row in moved])
    found = {photo.path for photo, _ in moved}
    return [photo for photo in fresh if photo.path not in found]


def _is_gone(photo: Photo, library: Library) -> bool:
    """Return whether a photo's file was in a folder that is a source and no longer exists."""
    name = photo.name
    if name.address or not any(name.location.startswith(f"{folder}/") for folder in library.folders):
        return False
    return is_missing(Path(name.location), follow_symlinks=False)


def _moved(fresh: list[Photo], gone: list[Photo], rows: dict[str, Row]) -> list[tuple[Photo, Row]]:
    """Return new photos that have the size and content of a photo that is gone, each with its row."""
    by_size = defaultdict[int | None, dict[str | None, Row]](dict)
    for photo in gone:
        row = rows.get(photo.path)
        if row and row.status == "ok" and photo.row is None:
            by_size[photo.size][row.content_sha256] = row
    found = []
    for photo in fresh:
        candidates = by_size.get(photo.size, {})
        if candidates and photo.row is None and not photo.name.address and (row := candidates.get(_sha256(photo))):
            found.append((photo, row))
    return found


def _sha256(photo: Photo) -> str:
    try:
        return hashlib.sha256(images.read_bytes(Path(photo.name.location))).hexdigest()
    except images.ImageError:
        return ""
