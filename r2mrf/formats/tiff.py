"""Reads the directories of TIFF files: enough to tell raw files from pictures, and to know the depth of the values."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Tags, under the names of the specification.
NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_COUNTS, PLANAR = 273, 274, 277, 279, 284
MAX_VALUE, SUB_DIRECTORIES, SAMPLE_FORMAT, S_MAX_VALUE = 281, 330, 339, 341
JPEG_OFFSET, JPEG_COUNT, DNG_VERSION = 513, 514, 50706
_CFA, _LINEAR_RAW = 32803, 34892  # photometric interpretations that mean sensor values

# Signatures of TIFF, and of raw formats that differ from it only in their first bytes (Olympus, Panasonic).
_ORDER = {b"II*\0": "<", b"MM\0*": ">", b"IIRO": "<", b"IIRS": "<", b"MMOR": ">", b"IIU\0": "<"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_MOST_DIRECTORIES, _MOST_VALUES = 64, 1 << 16


class Values(NamedTuple):
    """Depth of a picture's values: `bits` per sample, `samples` per pixel, and whether they are `floats`."""

    bits: int
    samples: int
    floats: bool


@dataclass(frozen=True)
class Directory:
    """The numeric tags of one directory: number -> values."""

    tags: dict[int, tuple]

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag, or `default` if the tag is missing."""
        return self.tags.get(tag, (default,))[0]

    @property
    def is_reduced(self) -> bool:
        """Whether the picture is a reduced version of another directory's picture."""
        return bool(int(self.first(NEW_SUBFILE_TYPE)) & 1)

    @property
    def is_sensor(self) -> bool:
        """Whether the directory holds sensor values instead of a picture."""
        return self.first(PHOTOMETRIC) in (_CFA, _LINEAR_RAW)

    @property
    def values(self) -> Values:
        """Depth of the picture's values."""
        return Values(self.first(BITS, 1), self.first(SAMPLES, 1), self.first(SAMPLE_FORMAT, 1) == 3)

    @property
    def top(self) -> float | None:
        """Value of white, if the file states it: as its largest sample value, or by a depth between 8 and 16 bits."""
        for tag in (S_MAX_VALUE, MAX_VALUE):
            if self.first(tag) > 0 and (self.values.floats or self.first(tag) < 2**self.values.bits - 1):
                return float(self.first(tag))
        bits = self.values.bits
        return 2.0**bits - 1 if 8 < bits < 16 else None


def directories(data: bytes, start: int = 0) -> list[Directory]:
    """Return the directories of the TIFF or similar raw file at `start`, each followed by its subdirectories.

    The list is empty for any other data. Entries that are damaged or lie outside the file are left out.
    """
    order = _ORDER.get(bytes(data[start : start + 4]))
    found: list[Directory] = []
    waiting = list(_numbers(data, start + 4, order + "I")) if order else []
    seen: set[int] = set()
    while waiting and len(found) < _MOST_DIRECTORIES:
        place = waiting.pop(0)
        if place in seen or not 8 <= place < len(data) - start:
            continue
        seen.add(place)
        tags, following = _directory(data, start, place, str(order))
        found.append(Directory(tags))
        waiting = [*map(int, tags.get(SUB_DIRECTORIES, ())), *waiting, *following]
    return found


def planar_sixteen_bit(data: bytes, directory: Directory) -> np.ndarray | None:
    """Read an uncompressed 16-bit picture stored as one plane per colour: uint16 H×W×3; None for any other picture.

    Raises:
        ValueError: the picture is cut short.
    """
    depth, height, width = directory.values, directory.first(HEIGHT), directory.first(WIDTH)
    kind = directory.first(PLANAR, 1), directory.first(COMPRESSION, 1), depth.bits, depth.floats
    if kind != (2, 1, 16, False) or depth.samples < 3 or STRIP_OFFSETS not in directory.tags:
        return None
    strips = zip(directory.tags[STRIP_OFFSETS], directory.tags.get(STRIP_COUNTS, ()), strict=False)
    joined = b"".join(data[offset : offset + count] for offset, count in strips)
    wanted = height * width * depth.samples * 2
    if len(joined) < wanted:
        raise ValueError(f"cut short: {len(joined):,} of {wanted:,} bytes of pixels are there")
    planes = np.frombuffer(joined[:wanted], f"{_ORDER[bytes(data[:4])]}u2").reshape(depth.samples, height, width)
    return np.moveaxis(planes[:3], 0, -1).astype(np.uint16)


def _directory(data: bytes, start: int, place: int, order: str) -> tuple[dict[int, tuple], list[int]]:
    """Return the numeric tags of a directory, and the position of the next directory."""
    count = next(iter(_numbers(data, start + place, order + "H")), 0)
    tags = {}
    for i in range(count):
        entry = start + place + 2 + 12 * i
        head = _numbers(data, entry, order + "HHI")
        if not head:
            break
        tag, kind, number = head
        if kind not in _CODES or not 0 < number <= _MOST_VALUES:
            if kind in _SIZES and tag not in tags and number:
                tags[tag] = (_reached(data, start, entry, order),)  # too many values to read: keep their position
            continue
        size = _SIZES[kind] * number
        at = entry + 8 if size <= 4 else start + _reached(data, start, entry, order)
        values = _numbers(data, at, f"{order}{number}{_CODES[kind]}")
        if values and all(map(math.isfinite, values)):
            tags[tag] = values
    return tags, list(_numbers(data, start + place + 2 + 12 * count, order + "I"))


def _reached(data: bytes, start: int, entry: int, order: str) -> int:
    return next(iter(_numbers(data, entry + 8, order + "I")), 0)


def _numbers(data: bytes, place: int, form: str) -> tuple:
    """Return the numbers at a position; an empty tuple if the data ends before."""
    try:
        return struct.unpack_from(form, data, place)
    except struct.error:
        return ()
