"""Cameras' raw files: the largest JPEG that the camera embedded is read in place of the file.

The sensor's values are not developed. A thumbnail is never used, because it is too small to show focus.
"""

from __future__ import annotations

import re

from r2mrf.formats import box_files, jpeg, tiff
from r2mrf.formats.box_files import brands
from r2mrf.formats.tiff import Directory

LEAST_SIDE = 640  # pixels; an embedded JPEG whose longer side is shorter is a thumbnail

_START = re.compile(rb"\xff\xd8\xff[\xc0-\xc2\xc4\xdb\xdd\xe0-\xef\xfe]")
_BY_SIGNATURE = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # RAF, ORF, RW2
_CMT1 = b"CMT1"  # box of a CR3 file with the TIFF directory that describes the photo


class NoPreview(ValueError):
    """A raw file without an embedded JPEG that is large enough. The message says so."""


def is_raw(data: bytes) -> bool:
    """Return whether these bytes are a camera's raw file."""
    if data.startswith(_BY_SIGNATURE) or b"crx " in brands(data):
        return True
    if not data.startswith((b"II*\0", b"MM\0*")):
        return False
    if data[8:10] == b"CR":  # CR2
        return True
    found = tiff.directories(data)
    return bool(found) and (_is_thumbnail_first(found) or any(_is_camera(directory) for directory in found))


def embedded_jpeg(data: bytes) -> tuple[bytes, int | None]:
    """Return the largest JPEG in a raw file, and the orientation that the raw file states (None: use the JPEG's own).

    Raises:
        NoPreview: no embedded JPEG is larger than a thumbnail.
        ValueError: the file ends before a JPEG that it lists.
    """
    directories = tiff.directories(data)
    _check_lengths(data, directories)
    walked: jpeg.Walked = {}
    sizes = {found.start(): jpeg.dimensions(data, found.start(), walked) for found in _START.finditer(data)}
    known = {start: size for start, size in sizes.items() if size is not None}
    start = max(known, key=lambda place: known[place][0] * known[place][1], default=None)
    if start is None or max(known[start]) < LEAST_SIDE:
        there = f"only a thumbnail of {known[start][1]}×{known[start][0]} pixels" if start is not None else "no photo"
        raise NoPreview(f"a raw file with {there} embedded as a JPEG: develop it, and use the JPEG or TIFF")
    return data[start:], _orientation(data, directories)


def _is_camera(directory: Directory) -> bool:
    return directory.is_sensor or tiff.DNG_VERSION in directory.tags


def _is_thumbnail_first(directories: list[Directory]) -> bool:
    """Return whether the first picture is a thumbnail of a later one; TIFF readers would then open the thumbnail."""
    first, *others = directories
    pixels = first.first(tiff.WIDTH) * first.first(tiff.HEIGHT)
    return first.is_reduced and any(d.first(tiff.WIDTH) * d.first(tiff.HEIGHT) > pixels for d in others)


def _check_lengths(data: bytes, directories: list[Directory]) -> None:
    """Refuse a file that ends before a JPEG that it lists; otherwise a smaller one would be taken for the photo."""
    box_files.check_boxes(data)
    named = []
    if data.startswith(b"FUJIFILMCCD-RAW"):
        named.append((int.from_bytes(data[84:88], "big"), int.from_bytes(data[88:92], "big")))
    for directory in directories:
        tags = [(tiff.JPEG_OFFSET, tiff.JPEG_COUNT)]
        if directory.first(tiff.COMPRESSION) in (6, 7):  # JPEG, old and new
            tags.append((tiff.STRIP_OFFSETS, tiff.STRIP_COUNTS))
        for offsets, counts in tags:
            named += zip(directory.tags.get(offsets, ()), directory.tags.get(counts, ()), strict=False)
    if any(offset + count > len(data) for offset, count in named):
        raise ValueError("a raw file that is cut short")


def _orientation(data: bytes, directories: list[Directory]) -> int | None:
    """Return the EXIF orientation, 1 … 8, that a raw file states for the photo; None if there is none."""
    if b"crx " in brands(data):
        place = data.find(_CMT1, 0, 1 << 20)
        directories = tiff.directories(data, place + 4) if place > 0 else []
    named = [directory.tags[tiff.ORIENTATION][0] for directory in directories if tiff.ORIENTATION in directory.tags]
    return next((value for value in named if value in range(1, 9)), None)
