"""Bursts: photos of one scene, taken one right after the other, of which the sharpest is wanted.

Two photos belong together if they lie in one folder under names with consecutive numbers (IMG_0412.JPG,
IMG_0413.JPG), have the same size, look alike, and, where both tell when they were taken, follow each other
within seconds. A burst is a chain of such pairs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from pipelines.report.thumbnails import EXIF, TAKEN
from r2mrf.errors import UserError
from r2mrf.imaging.resize import resize

GAP = timedelta(seconds=3)  # EXIF times are whole seconds
ALIKE = 12  # of 64 bits; photos of different scenes differ in about 32


@dataclass(frozen=True)
class Look:
    """What of a photo is compared: whether it grows darker to the right in 8×8 places, and its time."""

    bits: int
    taken: datetime | None = None

    def follows(self, other: Look) -> bool:
        """Whether the two may belong to one burst."""
        alike = (self.bits ^ other.bits).bit_count() <= ALIKE
        return alike and (not (self.taken and other.taken) or abs(self.taken - other.taken) <= GAP)


def look(thumbnail: Path) -> Look:
    """Of a file that `pipelines.report.thumbnails` has made.

    Raises:
        UserError: it is damaged.
    """
    try:
        with Image.open(thumbnail) as image:
            grey = np.asarray(image.convert("L"))
            taken = image.getexif().get_ifd(EXIF).get(TAKEN)
    except OSError as error:
        raise UserError(f"{thumbnail}: is damaged ({error}); remove it, and it is made again") from None
    small = resize(grey, 8, 9)
    bits = int.from_bytes(np.packbits(small[:, :-1] > small[:, 1:]).tobytes(), "big")
    return Look(bits, _time(taken))


def find(rows: list[dict], look_of: Callable[[dict], Look | None]) -> list[list[dict]]:
    """Bursts of two photos or more.

    Args:
        rows: of `columns.SCORES`.
        look_of: asked only of rows whose names and sizes make neighbours of them; None = cannot tell.

    Returns:
        The rows of each burst, the sharpest first: the least blurred in the middle, then as a whole.
    """
    bursts = []
    for series in _series(rows):
        chain, last = [series[0]], look_of(series[0])
        for row in series[1:]:
            this = look_of(row)
            if not (last and this and this.follows(last)):
                bursts.append(chain)
                chain = []
            chain.append(row)
            last = this
        bursts.append(chain)
    sharpest_first = [sorted(burst, key=lambda r: (r["center_blur"], r["blur_fraction"])) for burst in bursts]
    return sorted((burst for burst in sharpest_first if len(burst) > 1), key=lambda b: min(r["path"] for r in b))


def _series(rows: list[dict]) -> list[list[dict]]:
    """Runs of photos of one size with consecutive numbers, two or more."""
    numbered: dict[tuple, list[tuple[int, dict]]] = defaultdict(list)
    for row in rows:
        path = PurePosixPath(row["path"])
        if row["status"] == "ok" and (found := re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem, re.DOTALL)):
            kind = found[1], found[3], path.suffix.lower(), row["width"], row["height"]
            numbered[str(path.parent), *kind].append((int(found[2]), row))
    series: list[list[dict]] = []
    for members in numbered.values():
        before = None
        for number, row in sorted(members, key=lambda member: member[0]):
            if before is None or number != before + 1:
                series.append([])
            series[-1].append(row)
            before = number
    return [run for run in series if len(run) > 1]


def _time(taken: object) -> datetime | None:
    try:
        return datetime.strptime(str(taken), "%Y:%m:%d %H:%M:%S")
    except ValueError:  # 0000:00:00: a camera whose clock was never set
        return None
