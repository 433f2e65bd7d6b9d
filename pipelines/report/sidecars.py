"""Writes XMP sidecars of scored photos for cataloguing programs. The photos themselves are never touched."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.report.labels import labels_of
from pipelines.report.mirror import Mirror
from pipelines.report.scored_folder import ReportRow
from pipelines.report.xml_positions import NotEditable
from pipelines.report.xmp import EMPTY, merge
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.prediction.focus import Focus
from r2mrf.prediction.record import DETAIL
from r2mrf.system.atomic import atomic_file

NAMES = ("full", "stem")  # IMG_1.JPG.xmp for darktable and digiKam, or IMG_1.xmp for Lightroom
FIGURES = (*Focus.__dataclass_fields__, *DETAIL, "burst", "sharpest", "model", "model_sha256", "content_sha256")
MAX_BYTES = 4 << 20  # largest sidecar that is merged; those of other programs have kilobytes


def write_sidecars(
    rows: list[ReportRow], folder: Path, name: str = "full", fields: tuple[str, ...] = ("keywords",)
) -> list[str]:
    """Write or update a sidecar for each scored photo, below `folder`, which mirrors the library's folders.

    An existing sidecar is merged (see `xmp`) or left as it is.

    Args:
        name: one of `NAMES`.
        fields: some of `labels.FIELDS`.

    Returns:
        A sentence for each sidecar that was not written.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be created ({error.strerror}): choose another folder") from None
    failures: list[str] = []
    written: dict[tuple[int, int], str] = {}  # device and inode of each file -> its photo
    mirror = Mirror(folder, rows)
    for row in rows:
        if row.status == "ok":
            try:
                _write(row, _target(mirror.path_of(row.path), name), fields, written)
            except UserError as error:
                failures.append(str(error))
    return failures


def sidecar(row: ReportRow, fields: tuple[str, ...] = ("keywords",), old: bytes = EMPTY) -> bytes:
    """Return the packet of a scored row, merged into `old`.

    Raises:
        NotEditable: `old` cannot be merged.
    """
    photo = row.path.rpartition("/")[2]
    return merge(old, {"photo": photo} | {name: getattr(row, name) for name in FIGURES}, labels_of(row, fields))


def _target(path: Path, name: str) -> Path:
    return path.with_name((path.name if name == "full" else path.stem) + ".xmp")


def _write(row: ReportRow, target: Path, fields: tuple[str, ...], written: dict[tuple[int, int], str]) -> None:
    """Write one sidecar; raise UserError if the present one is left as it is."""
    try:
        facts = target.lstat() if os.path.lexists(target) else None
        if facts and (other := written.get((facts.st_dev, facts.st_ino))):
            raise UserError(f"{target}: also the sidecar of {other}, so {row.path} gets none: use --xmp-name full")
        if facts and target.is_symlink():
            raise NotEditable("it is a link")
        if facts and facts.st_size > MAX_BYTES:
            raise NotEditable(f"it has more than {MAX_BYTES:,} bytes")
        old = images.read_bytes(target) if facts else EMPTY
        new = sidecar(row, fields, old)
        if not facts or new != old:
            with atomic_file(target) as temporary:
                temporary.write_bytes(new)
        facts = target.lstat()
    except (NotEditable, images.ImageError) as error:
        reason = error.detail if isinstance(error, images.ImageError) else error
        raise UserError(f"{target}: left as it is: {reason}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{target}: cannot be written ({getattr(error, 'strerror', error)})") from None
    written[facts.st_dev, facts.st_ino] = row.path
